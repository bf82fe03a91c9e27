import { beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { type DiskTarget, probeTarget } from "../../../src/disk/disk-target.ts";
import type { OpenMode, Path } from "../../../src/linux/linux.ts";
import { putFile, putMounts, toolsThatSay } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

let linux: FakeLinux;
let signatures: string;
let ran: string[];
beforeEach(() => {
  signatures = "";
  ran = [];
  const say = (words: readonly string[]) => {
    ran.push(words.join(" "));
    return signatures;
  };
  linux = new FakeLinux({ runProgram: toolsThatSay(say) });
  putMounts(linux, [{ at: "/", number: "9:9", type: "ext4", source: "/dev/other" }]);
  for (const directory of ["/dev", "/dev/disk"]) linux.files.makeDirectory(fromText(directory), 0o755);
  linux.files.makeNode(fromText("/dev/sda"), "block-device", { permissions: 0o660, rdev: 0x0800 });
  putFile(linux.files, "/sys/dev/block/8:0/size", "2097152\n");
  putFile(linux.files, "/sys/dev/block/8:0/queue/logical_block_size", "4096\n");
  putFile(linux.files, "/sys/dev/block/8:0/ro", "0\n");
  putFile(linux.files, "/sys/dev/block/8:0/sda1/dev", "8:1\n");
});

function probe(path: string, wipe = false): DiskTarget {
  return probeTarget(linux, fromText(path), { wipe });
}

function refusal(path: string, wipe = false): string {
  try {
    probe(path, wipe);
  } catch (error) {
    if (error instanceof OsdeployError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "nothing was refused";
}

describe("probeTarget", () => {
  test("takes a name that is free, and an empty file", () => {
    linux.files.makeDirectory(fromText("/disks"), 0o755);
    expect(probe("/disks/new")).toEqual({ kind: "file", path: "/disks/new", exists: false });
    expect(probe("new")).toEqual({ kind: "file", path: "new", exists: false });
    putFile(linux.files, "/disks/empty", "");
    expect(probe("/disks/empty")).toEqual({ kind: "file", path: "/disks/empty", exists: true });
  });

  test.each(["none", "tmpfs", "devtmpfs"])("makes no file among the devices, where /dev is %s", (type) => {
    const shm = { at: "/dev/shm", type: "tmpfs", source: "tmpfs" };
    putMounts(linux, [...(type === "none" ? [] : [{ at: "/dev", type, source: type }]), shm]);
    linux.files.makeDirectory(fromText("/dev/shm"), 0o755);
    linux.files.symlink(fromText("../sdx"), fromText("/dev/disk/gone"));
    linux.files.symlink(fromText("/dev"), fromText("/link"));
    expect(refusal("/dev/sdx")).toBe('not-found: Cannot install to "/dev/sdx": there is no such device');
    for (const path of ["/dev/disk/gone", "/link/sdx"])
      expect(refusal(path, true)).toContain("there is no such device");
    putFile(linux.files, "/dev/sdx", "");
    expect(refusal("/dev/sdx", true)).toContain("it is a regular file, and no device");
    expect(probe("/dev/shm/new")).toEqual({ kind: "file", path: "/dev/shm/new", exists: false });
  });

  test("makes no file on another mount of the devices, as in the root of a chroot", () => {
    putMounts(linux, [{ at: "/target/dev", type: "devtmpfs", source: "udev" }]);
    linux.files.makeDirectory(fromText("/target"), 0o755);
    linux.files.makeDirectory(fromText("/target/dev"), 0o755);
    expect(refusal("/target/dev/sdx")).toContain("there is no such device");
  });

  test("takes a file that holds something only when told to", () => {
    putFile(linux.files, "/file", "precious");
    expect(refusal("/file")).toBe('already-exists: Cannot install to "/file": there is a file already');
    expect(probe("/file", true)).toEqual({ kind: "file", path: "/file", exists: true });
  });

  test("refuses a file that is mounted on its own, as into a container: nothing can take its place", () => {
    putFile(linux.files, "/disks/mounted", "");
    putMounts(linux, [{ at: "/disks/mounted", directory: "/home/disk", type: "ext4", source: "/dev/other" }]);
    expect(refusal("/disks/mounted", true)).toBe(
      'unsupported: Cannot install to "/disks/mounted": it is mounted there on its own, and cannot be replaced',
    );
  });

  test("refuses what can be no disk", () => {
    expect(refusal("/none/file")).toBe('not-found: Cannot install to "/none/file": there is no directory for it');
    expect(refusal("/dev")).toBe('unsupported: Cannot install to "/dev": it is a directory');
  });

  test("tells a disk's size and sectors, and follows links to it", () => {
    const disk = { kind: "device", path: "/dev/sda", sizeBytes: 2 ** 30, sectorBytes: 4096 };
    expect(probe("/dev/sda")).toEqual(disk);
    linux.files.symlink(fromText("../sda"), fromText("/dev/disk/by-name"));
    expect(probe("/dev/disk/by-name")).toEqual({ ...disk, path: "/dev/disk/../sda" });
    linux.files.symlink(fromText("/dev/disk/by-name"), fromText("/dev/disk/absolute"));
    expect(probe("/dev/disk/absolute")).toMatchObject({ sizeBytes: 2 ** 30 });
    linux.files.symlink(fromText("dev/sda"), fromText("/here"));
    expect(probe("here")).toMatchObject({ path: "dev/sda", sizeBytes: 2 ** 30 });
  });

  test.each([
    [0x10301, "259:1"],
    [0x10310304, "259:66308"],
  ])("finds the disk of the number %i", (rdev, number) => {
    linux.files.makeNode(fromText("/dev/nvme"), "block-device", { permissions: 0o660, rdev });
    putFile(linux.files, `/sys/dev/block/${number}/size`, "4096\n");
    putFile(linux.files, `/sys/dev/block/${number}/queue/logical_block_size`, "512\n");
    putFile(linux.files, `/sys/dev/block/${number}/ro`, "0\n");
    expect(probe("/dev/nvme")).toMatchObject({ sizeBytes: 2 ** 21, sectorBytes: 512 });
  });

  test("refuses a circle of links", () => {
    linux.files.symlink(fromText("circle"), fromText("/dev/circle"));
    expect(refusal("/dev/circle")).toBe('unsupported: Cannot install to "/dev/circle": it is a symlink');
  });

  test("refuses a disk that is read-only, before anything is fetched for it", () => {
    putFile(linux.files, "/sys/dev/block/8:0/ro", "1\n");
    expect(refusal("/dev/sda", true)).toBe('permission-denied: Cannot install to "/dev/sda": it is read-only');
  });

  test("refuses a partition", () => {
    putFile(linux.files, "/sys/dev/block/8:0/partition", "1\n");
    expect(refusal("/dev/sda", true)).toBe('unsupported: Cannot install to "/dev/sda": it is a partition');
  });

  test.each(["8:0", "8:1"])("refuses a disk that is mounted, even with wipe (%s)", (number) => {
    putMounts(linux, [{ at: "/home", number, type: "ext4", source: "/dev/sda" }]);
    expect(refusal("/dev/sda", true)).toBe('busy: Cannot install to "/dev/sda": it is in use: it is mounted at /home');
  });

  test("names the place where a disk is mounted as it is", () => {
    putMounts(linux, [{ at: "/mnt/à\\040b", number: "8:1", type: "ext4", source: "/dev/sda1" }]);
    expect(refusal("/dev/sda", true)).toMatch(/it is mounted at \/mnt\/à b$/);
  });

  test.each([
    ["busy", "swap, LVM, RAID"],
    ["permission-denied", "Cannot open it: EXXX"],
  ] as const)("refuses a disk that the kernel does not give to us alone, even with wipe (%s)", (code, message) => {
    const open = (_: Path, mode: OpenMode) => {
      // The one that asks for a disk alone.
      expect(mode).toBe("update");
      throw new OsdeployError(code, "Cannot open it: EXXX");
    };
    const used = Object.assign(Object.create(linux), { files: { ...linux.files, open } });
    expect(() => probeTarget(used, fromText("/dev/sda"), { wipe: true })).toThrow(message);
  });

  test("refuses a disk that holds something, with its names, unless told to wipe it", () => {
    signatures = "gpt  \ngpt\nPMBR\n";
    expect(refusal("/dev/sda")).toBe('already-exists: Cannot install to "/dev/sda": it holds gpt, PMBR');
    expect(probe("/dev/sda", true)).toMatchObject({ kind: "device" });
    expect(ran).toEqual(["wipefs --noheadings --output TYPE /dev/sda"]);
  });
});
