import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { probeFileSystem } from "../../../src/disk/probe-file-system.ts";
import type { Linux } from "../../../src/linux/linux.ts";
import { FakeLinux, type FakeLinuxOptions } from "../../fakes/fake-linux.ts";

const root = fromText("/target");

function machine(options: FakeLinuxOptions = {}): FakeLinux {
  return new FakeLinux({ mountPoints: [{ path: "/target" }], ...options });
}

function refusal(linux: Linux): string {
  try {
    probeFileSystem(linux, root);
  } catch (error) {
    if (error instanceof OsdeployError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "nothing was refused";
}

const fails = (code: "unsupported" | "permission-denied" | "system", errno: string) => () => {
  throw new OsdeployError(code, "Cannot do it", { facts: { errno } });
};

test("probeFileSystem: tells whether files can be sealed, and leaves nothing behind", () => {
  const linux = machine();
  expect(probeFileSystem(linux, root)).toEqual({ canSeal: true });
  expect(linux.files.readDirectory(root)).toEqual([]);
  expect(probeFileSystem(machine({ verity: false }), root)).toEqual({ canSeal: false });
});

test.each([
  ["symlink", "permission-denied", "EPERM", "symlinks"],
  ["setXattr", "unsupported", "ENOTSUP", "extended attributes"],
] as const)("probeFileSystem: refuses where %s is %s, and leaves nothing behind", (call, code, errno, what) => {
  const linux = machine();
  const poor: Linux = Object.assign(Object.create(linux), { files: { ...linux.files, [call]: fails(code, errno) } });
  expect(refusal(poor)).toBe(`unsupported: Cannot install to "/target": its file system takes no ${what}`);
  expect(linux.files.readDirectory(root)).toEqual([]);
});

test("probeFileSystem: what else fails is told as it is", () => {
  expect(refusal(machine({ mountPoints: [{ path: "/target", readOnly: true }] }))).toContain("permission-denied: ");
  const linux = machine();
  const broken: Linux = Object.assign(Object.create(linux), {
    files: { ...linux.files, setXattr: fails("system", "EIO") },
  });
  expect(refusal(broken)).toBe("system: Cannot do it");
});
