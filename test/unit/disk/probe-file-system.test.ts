import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { probeFileSystem } from "../../../src/disk/probe-file-system.ts";
import type { Linux } from "../../../src/linux/linux.ts";
import { FakeLinux, type FakeLinuxOptions, SimulatedCrash } from "../../fakes/fake-linux.ts";

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
  ["symlink", "unsupported", "ENOTSUP", "symlinks"],
  ["setXattr", "unsupported", "ENOTSUP", "extended attributes"],
] as const)("probeFileSystem: refuses where %s is %s, and leaves nothing behind", (call, code, errno, what) => {
  const linux = machine();
  const poor: Linux = Object.assign(Object.create(linux), { files: { ...linux.files, [call]: fails(code, errno) } });
  expect(refusal(poor)).toBe(`unsupported: Cannot install to "/target": its file system takes no ${what}`);
  expect(linux.files.readDirectory(root)).toEqual([]);
});

test("probeFileSystem: tells whose right is missing for attributes, instead of blaming the file system", () => {
  const linux = machine();
  const files = { ...linux.files, setXattr: fails("permission-denied", "EPERM") };
  expect(refusal(Object.assign(Object.create(linux), { files }))).toBe(
    'permission-denied: Cannot install to "/target": attributes for the system (trusted.*) need CAP_SYS_ADMIN',
  );
  expect(linux.files.readDirectory(root)).toEqual([]);
});

test("probeFileSystem: what a killed run left goes with the next one", () => {
  const linux = machine();
  const start = linux.trace.length;
  probeFileSystem(linux, root);
  const { length } = linux.trace;
  for (let failAt = start + 1; failAt <= length; failAt++) {
    const killed = machine({ failAt });
    expect(() => probeFileSystem(killed, root), `call ${failAt}`).toThrow(SimulatedCrash);
    const after = killed.crash({ keepUnsynced: true });
    expect(probeFileSystem(after, root)).toEqual({ canSeal: true });
    expect(after.files.readDirectory(root), `call ${failAt}`).toEqual([]);
  }
});

test("probeFileSystem: what else fails is told as it is", () => {
  expect(refusal(machine({ mountPoints: [{ path: "/target", readOnly: true }] }))).toContain("permission-denied: ");
  const linux = machine();
  const broken: Linux = Object.assign(Object.create(linux), {
    files: { ...linux.files, setXattr: fails("system", "EIO") },
  });
  expect(refusal(broken)).toBe("system: Cannot do it");
  const linkless = { ...linux.files, symlink: fails("system", "EIO") };
  expect(refusal(Object.assign(Object.create(linux), { files: linkless }))).toBe("system: Cannot do it");
});
