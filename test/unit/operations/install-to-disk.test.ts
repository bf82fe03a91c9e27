import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { assert, OsdeployError } from "../../../src/core/errors.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { type InstallToDiskRequest, installToDisk } from "../../../src/operations/install-to-disk.ts";
import { buildInstallImage } from "../../builders/install-images.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  machineWith,
  noLogin,
  SeenProgress,
  systemOn,
} from "../../builders/operation-machine.ts";
import { type Answers, putFile, putMounts, toolsThatSay } from "../../builders/tool-runs.ts";

const mebibyte = 2 ** 20;

const whole = await buildInstallImage();
const linked = await buildInstallImage({ changes: [{ path: "etc/ssh/authorized_keys.d", symlink: "/elsewhere" }] });

/** What an installation of an image that does not exist is refused for, and what was begun before. */
async function refusal(changes: Partial<InstallToDiskRequest>, answers: Answers = () => "") {
  const linux = machineWith({ linked, whole }, { runProgram: toolsThatSay(answers) });
  linux.files.writeNewFile(fromText("/keys"), new TextEncoder().encode("ssh-ed25519 AAAA me\n"), 0o600);
  linux.files.writeNewFile(fromText("/no-keys"), new TextEncoder().encode("# none\n"), 0o600);
  putMounts(linux, []);
  putFile(linux.files, "/sys/dev/block/8:0/size", "16777216\n");
  putFile(linux.files, "/sys/dev/block/8:0/queue/logical_block_size", "512\n");
  putFile(linux.files, "/sys/dev/block/8:0/ro", "0\n");
  linux.files.makeNode(fromText("/sda"), "block-device", { permissions: 0o660, rdev: 0x800 });
  for (const name of ["/var", "/var/tmp", "/a?b", "/a@@b", "/\u00ff"]) {
    linux.files.makeDirectory(name as Path, 0o755);
  }
  linux.files.symlink(fromText("keys"), fromText("/link"));
  const before = linux.files.readDirectory(fromText("/"));
  const begin = linux.trace.length;
  const progress = new SeenProgress();
  const image = parseImageReference("oci:/nowhere:os");
  const promise = installToDisk(systemOn(linux, { progress: progress.report }), {
    ...{ image, platform: linuxAmd64, source: noLogin, targetImage: parseImageReference("quay.io/os:1") },
    ...{ kernelArguments: [], bootloader: "systemd-boot", rootKeys: undefined, allowMissingVerity: false },
    ...{ target: fromText("/disk"), wipe: false, format: "raw", randomUuids: false },
    ...{ diskBytes: undefined, bootBytes: 512 * mebibyte, rootBytes: undefined },
    ...changes,
  });
  const error = await failureOf(promise);
  assert(error instanceof OsdeployError, "the installation is refused");
  const { code, message } = error;
  expect(linux.files.readDirectory(fromText("/"))).toEqual(before);
  expect(linux.trace.slice(begin).filter(({ path }) => path === "/sda")).toEqual([]);
  return { code, message, phases: progress.events.filter(({ kind }) => kind === "phase").length };
}

describe("installToDisk", () => {
  test.each<[string, Partial<InstallToDiskRequest>, string]>([
    ["a disk smaller than its boot partition", { diskBytes: mebibyte }, "the disk has 1048576"],
    ["a root larger than the disk", { diskBytes: 2 ** 31, rootBytes: 2 ** 32 }, "the disk has 2147483648"],
    ["a boot partition with no room for files", { bootBytes: mebibyte }, "the boot partition has 1048576"],
    ["an ESP with no room for files", { espBytes: mebibyte }, "the EFI system partition has 1048576"],
    ["a root with no room for files", { rootBytes: 16 * mebibyte }, "the root partition has 16777216"],
  ])("refuses %s before the image is looked for", async (_, changes, state) => {
    const message = expect.stringMatching(
      `^Cannot install: [0-9]+ bytes [(][0-9.]+ [MG]B[)] are needed, ${state} bytes [(]`,
    );
    expect(await refusal(changes)).toEqual({ code: "usage", message, phases: 0 });
  });

  test("refuses to follow a relative path of another machine", async () => {
    const targetImage = parseImageReference("oci:relative:os");
    expect(await refusal({ targetImage })).toMatchObject({ code: "usage", phases: 0 });
  });

  test("takes sizes that an image can fit into", async () => {
    expect(await refusal({ diskBytes: 2 ** 31, espBytes: 64 * mebibyte })).toMatchObject({ code: "not-found" });
  });

  test.each([
    ["/none", "not-found"],
    ["/no-keys", "bad-format"],
  ])("refuses the keys in %s before the image is looked for", async (keys, code) => {
    expect(await refusal({ rootKeys: fromText(keys) })).toMatchObject({ code, phases: 0 });
  });

  test.each<[string, Partial<InstallToDiskRequest>]>([
    ["--size", { diskBytes: 2 ** 31 }],
    ["--format qcow2", { format: "qcow2" }],
  ])("refuses %s for a disk, which has its own", async (option, changes) => {
    expect(await refusal({ target: fromText("/sda"), ...changes })).toEqual({
      code: "usage",
      message: `Cannot install to "/sda" with ${option}: it is a disk, and no file`,
      phases: 0,
    });
  });

  test.each(["/a?b", "/a@@b", "/\u00ff"])("refuses a file in %s, which the tools would not find", async (directory) => {
    const message = expect.stringContaining("the tools that make file systems cannot be told a path with ?, with @@");
    const target = `${directory}/disk` as Path;
    expect(await refusal({ target })).toEqual({ code: "unsupported", message, phases: 0 });
  });

  test("a disk that somebody has filled by the time that the image is there stays as it is", async () => {
    let isPulled = false;
    const answers = ([tool, ...words]: readonly string[]) => {
      if (tool === "mkfs.vfat" && words.includes("-C")) isPulled = true;
      return tool === "wipefs" && isPulled ? "ext4\n" : "";
    };
    const image = parseImageReference(layoutReference("whole"));
    expect(await refusal({ image, target: fromText("/sda") }, answers)).toMatchObject({
      code: "already-exists",
      message: 'Cannot install to "/sda": it holds ext4',
    });
  });

  test.each<[string, Partial<InstallToDiskRequest>, readonly string[]]>([
    ["ext4", {}, ["mkfs.ext4", "debugfs", "e2fsck"]],
    ["btrfs", { fileSystem: "btrfs" }, ["mkfs.btrfs", "mount", "umount"]],
    ["xfs", { fileSystem: "xfs", allowMissingVerity: true }, ["mkfs.xfs", "mount", "umount"]],
    ["a qcow2 file", { format: "qcow2" }, ["qemu-img", "mkfs.ext4", "debugfs", "e2fsck"]],
  ])("refuses a machine without one of the tools for %s", async (_, changes, own) => {
    for (const tool of [...own, "mkfs.vfat", "mmd", "mcopy", "wipefs"]) {
      const answers = ([program = ""]: readonly string[]) =>
        [tool, `/usr/sbin/${tool}`].includes(program) ? undefined : "";
      const message = `Cannot install: the program ${tool} is missing`;
      expect(await refusal(changes, answers)).toEqual({ code: "unsupported", message, phases: 0 });
    }
  });

  test("puts keys nowhere where a link of the image's leads", async () => {
    const image = parseImageReference(layoutReference("linked"));
    expect(await refusal({ image, rootKeys: fromText("/link") })).toMatchObject({
      code: "unsupported",
      message: "Cannot install keys for root: /etc/ssh/authorized_keys.d is a symlink in the image",
    });
  });
});
