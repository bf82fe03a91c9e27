import { beforeEach, describe, expect, test } from "vitest";
import { fromBytes, fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { childPath } from "../../../src/linux/path.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { type InstallToDiskRequest, installToDisk } from "../../../src/operations/install-to-disk.ts";
import { buildImageWithKernel, buildInstallImage } from "../../builders/install-images.ts";
import { layoutReference, linuxAmd64, machineWith, noLogin, systemOn } from "../../builders/operation-machine.ts";
import { putFile, putMounts, toolsThatSay } from "../../builders/tool-runs.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const mebibyte = 2 ** 20;
const os = await buildInstallImage();
const old = await buildImageWithKernel("6.5.13");

let linux: FakeLinux;
let ran: string[];
/** The boot entry, as it is when the partition is made that it is on. */
let entry: string;
beforeEach(() => {
  ran = [];
  entry = "";
  const answer = (words: readonly string[]) => {
    ran.push(words.join(" ").replaceAll(/\.osdeploy-install-[^/ ]+/g, "STAGING"));
    if (words[0] === "mkfs.vfat" && words.includes("-C")) makePartition(words.at(-2) ?? "", Number(words.at(-1)));
    if (words[0] === "mcopy" && words.at(-1)?.includes("/entries/")) entry = textOf(words.at(-2) ?? "");
    if (words[0] === "umount" && words[1]?.startsWith("/")) unmount(words[1] as Path);
    return "";
  };
  linux = machineWith({ os, old }, { runProgram: toolsThatSay(answer) });
  putMounts(linux, []);
  for (const path of ["/var", "/var/tmp"]) linux.files.makeDirectory(fromText(path), 0o755);
  putFile(linux.files, "/sys/dev/block/8:0/size", `${(200 * mebibyte) / 512}\n`);
  putFile(linux.files, "/sys/dev/block/8:0/ro", "0\n");
  linux.files.makeNode(fromText("/sda"), "block-device", { permissions: 0o660, rdev: 0x800 });
});

/** A file that begins with its own name, and ends with zeros. */
function makePartition(path: string, kibibytes: number): void {
  putFile(linux.files, path, path.slice(path.lastIndexOf("/") + 1));
  const fd = linux.files.open(path as Path, "update");
  linux.files.setSize(fd, kibibytes * 1024);
  linux.files.close(fd);
}

/** What is mounted leaves its mount point empty. */
function unmount(top: Path): void {
  for (const name of linux.files.readDirectory(top)) removeTree(linux.files, childPath(top, name));
}

const textOf = (path: string) => fromBytes(linux.files.readFile(path as Path, mebibyte));

async function install(changes: Partial<InstallToDiskRequest>, sectorBytes = 512) {
  putFile(linux.files, "/sys/dev/block/8:0/queue/logical_block_size", `${sectorBytes}\n`);
  return await installToDisk(systemOn(linux), {
    ...{ image: parseImageReference(layoutReference("os")), platform: linuxAmd64, source: noLogin },
    ...{ targetImage: parseImageReference("quay.io/os:1"), kernelArguments: [], bootloader: "systemd-boot" },
    ...{ rootKeys: undefined, allowMissingVerity: false, wipe: false, format: "raw", randomUuids: false },
    ...{ target: fromText("/sda"), diskBytes: undefined, bootBytes: 4 * mebibyte, rootBytes: undefined },
    ...changes,
  });
}

function read(path: string, position: number, length: number): Uint8Array {
  const fd = linux.files.open(path as Path, "update");
  const bytes = new Uint8Array(length);
  linux.files.read(fd, bytes, { offset: 0, length, position });
  linux.files.close(fd);
  return bytes;
}

/** What the partition table holds: names, and where they begin and end in MiB. */
function partitionsOf(path: string, sectorBytes = 512): readonly string[] {
  const entries = read(path, 2 * sectorBytes, 3 * 128);
  const view = new DataView(entries.buffer);
  return [0, 128, 256].flatMap((at) => {
    const name = new TextDecoder("utf-16le").decode(entries.subarray(at + 56, at + 128)).replaceAll("\0", "");
    const place = (offset: number) => (Number(view.getBigUint64(at + offset, true)) * sectorBytes) / mebibyte;
    return name === "" ? [] : [`${name} ${place(32)} ${place(40) + sectorBytes / mebibyte}`];
  });
}

const startOf = (path: string, mebibytes: number) =>
  new TextDecoder().decode(read(path, mebibytes * mebibyte, 8)).replaceAll("\0", "");

describe("installToDisk, on a disk", () => {
  test("makes each part with its tool, and the table last", async () => {
    const { rootUuid, bootUuid, diskBytes, target } = await install({});
    expect({ target, diskBytes }).toEqual({ target: "/sda", diskBytes: 200 * mebibyte });
    expect(partitionsOf("/sda")).toEqual(["esp 1 5", "root 5 199"]);
    expect(startOf("/sda", 1)).toBe("boot.img");
    const made = ran.filter((line) => !/ -V$|^(mmd|mcopy) /.test(line));
    expect(made.map((line) => line.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UUID"))).toEqual([
      "wipefs --noheadings --output TYPE /sda",
      expect.stringMatching(
        /^mkfs\.vfat --invariant -S 512 -n ESP -i [0-9a-f]{8} -C \/var\/tmp\/STAGING\/boot\.img 4096$/,
      ),
      "wipefs --noheadings --output TYPE /sda",
      expect.stringMatching(
        /^mkfs\.ext4 .* -U UUID -L root -E offset=5242880,hash_seed=UUID,lazy_itable_init=1,.* \/sda 198656k$/,
      ),
      ...made.filter((line) => line.startsWith("debugfs")),
      "e2fsck -fn /sda?offset=5242880",
      "blockdev --rereadpt /sda",
    ]);
    expect(entry).toContain(` root=UUID=${rootUuid} rw systemd.mount-extra=PARTUUID=${bootUuid}:/boot:vfat:`);
    expect(linux.files.readDirectory(fromText("/var/tmp"))).toEqual([]);
  });

  test("of a disk UUIDs are by chance, of a file from the image", async () => {
    const first = await install({});
    expect((await install({ wipe: true })).rootUuid).not.toBe(first.rootUuid);
    const uuidOf = async (target: string, randomUuids = false) =>
      (await install({ target: fromText(target), diskBytes: 200 * mebibyte, randomUuids })).rootUuid;
    const file = await uuidOf("/one");
    expect(await uuidOf("/two")).toBe(file);
    expect(await uuidOf("/three", true)).not.toBe(file);
  });

  test("its sectors are those of its table and of its file systems", async () => {
    await install({}, 4096);
    expect(partitionsOf("/sda", 4096)).toEqual(["esp 1 5", "root 5 199"]);
    expect(ran.find((line) => line.includes(" -C "))).toContain(" -S 4096 ");
    ran = [];
    await install({ fileSystem: "xfs", allowMissingVerity: true, wipe: true }, 4096);
    expect(ran.find((line) => line.startsWith("mkfs.xfs -q"))).toContain(" -s size=4096 ");
  });

  test("a root of xfs is made beside it, and copied with all its zeros", async () => {
    const fd = linux.files.open(fromText("/sda"), "update");
    linux.files.writeAt(fd, Uint8Array.of(1), 100 * mebibyte);
    linux.files.close(fd);
    await install({ fileSystem: "xfs", allowMissingVerity: true });
    expect(read("/sda", 100 * mebibyte, 1)).toEqual(Uint8Array.of(0));
    expect(ran.filter((line) => /^(mkfs\.ext4|debugfs) (?!-V)/.test(line))).toEqual([]);
    // Nothing seals the files of xfs, and so no kernel is told to ask for seals.
    expect(entry).toContain(" composefs=?");
  });

  test("an EFI system partition of its own comes first", async () => {
    await install({ espBytes: 3 * mebibyte });
    expect(partitionsOf("/sda")).toEqual(["esp 1 4", "boot 4 8", "root 8 199"]);
    expect([startOf("/sda", 1), startOf("/sda", 4)]).toEqual(["esp.img", "boot.img"]);
    const labels = ran.filter((line) => line.includes(" -C ")).map((line) => / -n (\w+) /.exec(line)?.[1]);
    expect(labels).toEqual(["ESP", "BOOT"]);
    expect(entry.match(/systemd\.mount-extra=PARTUUID=[^:]*:[^:]*/g)?.map((word) => word.split(":")[1])).toEqual([
      "/boot",
      "/boot/efi",
    ]);
  });

  test("a root partition takes as much as it is told, and a kernel that cannot check files is not told to", async () => {
    const image = parseImageReference(layoutReference("old"));
    await install({ rootBytes: 170 * mebibyte, image, bootloader: "none", allowMissingVerity: true });
    expect(partitionsOf("/sda")).toEqual(["esp 1 5", "root 5 175"]);
    expect(entry).toContain(" composefs=?");
  });
});

test("installToDisk: a file is as large as is good, or as it is told, and full of holes", async () => {
  const { diskBytes } = await install({ target: fromText("/disk"), diskBytes: 200 * mebibyte + 100 });
  // Whole sectors.
  expect(diskBytes).toBe(200 * mebibyte);
  expect(linux.files.lstat(fromText("/disk"))).toMatchObject({ sizeBytes: diskBytes, permissions: 0o600 });
  expect(partitionsOf("/disk")).toEqual(["esp 1 5", "root 5 199"]);
  expect(ran.find((line) => line.startsWith("mkfs.ext4 -q"))).toContain(",lazy_itable_init=0,");
  expect(ran.filter((line) => line.startsWith("wipefs --noheadings"))).toEqual([]);
});
