import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../../src/core/digest/fs-verity.ts";
import { type DiskStep, ownedByRoot } from "../../../src/core/disk/disk-step.ts";
import { uuidOfSeed } from "../../../src/core/disk/uuid.ts";
import { makeMountedRoot } from "../../../src/disk/mounted-root.ts";
import { canSeal } from "../../../src/disk/root-file-system.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { putFile, toolsThatSay } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

/** What was mounted, as it was when it was unmounted. */
interface Seen {
  files: readonly string[];
  digest: string | undefined;
  /** Of what osdeploy does not check when it is read. */
  plainDigest?: string | undefined;
  /** When the directory was changed. */
  time?: bigint;
}

function machine(seen: Seen, options: { readonly verity: boolean }): FakeLinux {
  const linux: FakeLinux = new FakeLinux({ ...options, runProgram: toolsThatSay((words) => answer(words)) });
  const answer = (words: readonly string[]) => {
    if (words[0] === "umount") unmount(linux.files, words[1] ?? "", seen);
    return "";
  };
  putFile(linux.files, "/source", "content");
  return linux;
}

function unmount(files: LinuxFiles, top: string, seen: Seen): void {
  seen.files = describeFiles(files, fromText(top));
  const digestOf = (name: string) => {
    const path = fromText(`${top}/d/${name}`);
    return files.lstatIfExists(path) && files.measureVerity(path, "sha512");
  };
  seen.digest = digestOf("object");
  seen.plainDigest = digestOf("plain");
  seen.time = files.lstatIfExists(fromText(`${top}/d`))?.mtimeSeconds ?? 0n;
  for (const name of files.readDirectory(fromText(top))) removeTree(files, fromText(`${top}/${name}`));
}

const file = (sealedBytes: number | undefined) => ({ kind: "file", source: fromText("/source"), sealedBytes }) as const;
const step = (path: string, content: DiskStep["content"]): DiskStep => ({
  path: fromText(path),
  stat: { ...ownedByRoot(0o4750, 1_600_000_000), uid: 7 },
  xattrs: new Map([[fromText("security.selinux"), fromText("label")]]),
  content,
});
const steps = [
  step("d", { kind: "directory" }),
  step("d/object", file(7)),
  step("d/plain", file(undefined)),
  step("d/link", { kind: "symlink", target: fromText("plain") }),
  step("d/null", { kind: "character-device", rdev: 0x103 }),
];

const common = {
  file: fromText("/root.img"),
  sizeBytes: 4096,
  sectorBytes: 512,
  uuid: uuidOfSeed("root"),
  label: "root",
  steps,
} as const;

test.each(["btrfs", "xfs"] as const)("makeMountedRoot: makes all inodes with what they have, on %s", (type) => {
  const seen: Seen = { files: [], digest: undefined };
  const linux = machine(seen, { verity: true });
  makeMountedRoot(linux, { ...common, type, seal: type === "btrfs" ? "sha512" : undefined });
  const top = "/root.img.mounted";
  const digest = createHash("sha256").update("content").digest("hex").slice(0, 16);
  expect(seen.files.slice(0, 5)).toEqual([
    `${top}/d directory 7:0 4750`,
    `${top}/d/link symlink 7:0 777 -> plain`,
    expect.stringMatching(`^${top}/d/null character-device 7:0 4750`),
    `${top}/d/object regular 7:0 4750 ${digest}`,
    `${top}/d/plain regular 7:0 4750 ${digest}`,
  ]);
  const sealed = verityDigest("sha512", new TextEncoder().encode("content"));
  expect(seen.digest).toBe(type === "btrfs" ? sealed : undefined);
  expect(seen.plainDigest).toBeUndefined();
  expect(seen.time).toBe(1_600_000_000n);
  expect(linux.files.lstatIfExists(fromText("/root.img.mounted"))).toBeUndefined();
});

test.each(["btrfs", "xfs"] as const)("makeMountedRoot: hands mkfs.%s its words, and mounts what it made", (type) => {
  const seen: string[] = [];
  const linux: FakeLinux = new FakeLinux({
    runProgram: toolsThatSay((words) => {
      seen.push(words.join(" "));
      return "";
    }),
  });
  makeMountedRoot(linux, { ...common, type, sectorBytes: 4096, steps: [], seal: undefined });
  const uuid = uuidOfSeed("root");
  const made = {
    btrfs: `mkfs.btrfs -q -U ${uuid} -L root /root.img`,
    xfs: `mkfs.xfs -q -m uuid=${uuid} -s size=4096 -L root /root.img`,
  };
  const top = "/root.img.mounted";
  expect(seen).toEqual([made[type], `mount -o loop /root.img ${top}`, `umount ${top}`]);
  expect(linux.files.lstat(fromText("/root.img")).sizeBytes).toBe(4096);
});

test("makeMountedRoot: a file that cannot be sealed after all is an error, and nothing stays mounted", () => {
  const linux = machine({ files: [], digest: undefined }, { verity: false });
  expect(() => makeMountedRoot(linux, { ...common, type: "btrfs", seal: "sha512" })).toThrow(
    expect.objectContaining({ code: "unsupported", message: expect.stringContaining('Cannot seal "d/object"') }),
  );
  expect(linux.files.lstatIfExists(fromText("/root.img.mounted"))).toBeUndefined();
});

test("canSeal: ext4 always, xfs never, btrfs where the kernel can", () => {
  for (const verity of [true, false]) {
    const linux = machine({ files: [], digest: undefined }, { verity });
    linux.files.makeDirectory(fromText("/staging"), 0o700);
    expect(canSeal(linux, "ext4", fromText("/staging"))).toBe(true);
    expect(canSeal(linux, "xfs", fromText("/staging"))).toBe(false);
    const start = linux.trace.length;
    expect(canSeal(linux, "btrfs", fromText("/staging"))).toBe(verity);
    // Smaller ones mkfs.btrfs does not make.
    expect(linux.trace.slice(start).map(({ call, path }) => `${call} ${path}`)).toContain("setSize /staging/probe.img");
    expect(linux.files.readDirectory(fromText("/staging"))).toEqual([]);
  }
});
