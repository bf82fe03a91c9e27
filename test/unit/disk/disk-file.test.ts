import { beforeEach, describe, expect, test } from "vitest";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import type { PartitionTable } from "../../../src/core/disk/gpt.ts";
import { uuidOfSeed } from "../../../src/core/disk/uuid.ts";
import { copyToDisk, openDisk } from "../../../src/disk/disk-file.ts";
import { putFile, toolsThatSay } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const mebibyte = 1024 * 1024;
const diskBytes = 8 * mebibyte;
const table: PartitionTable = { diskUuid: uuidOfSeed("disk"), diskBytes, sectorBytes: 512, partitions: [] };
const root = { offsetBytes: 2 * mebibyte, sizeBytes: 4 * mebibyte };
const raw = { diskBytes, root, format: "raw", staging: fromText("/staging") } as const;

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux();
});

function bytes(path: string): Uint8Array {
  const fd = linux.files.open(fromText(path), "update");
  const all = new Uint8Array(diskBytes);
  linux.files.read(fd, all, { offset: 0, length: diskBytes, position: 0 });
  linux.files.close(fd);
  return all;
}

function write(path: string, position: number, text: string): void {
  const fd = linux.files.open(fromText(path), "update");
  linux.files.writeAt(fd, toBytes(fromText(text)), position);
  linux.files.close(fd);
}

const signature = (disk: Uint8Array) => new TextDecoder().decode(disk.subarray(512, 520));

describe("openDisk, for a disk", () => {
  const target = { kind: "device", path: fromText("/sda"), sizeBytes: diskBytes, sectorBytes: 512 } as const;
  const old = [0, 1080, 2 * mebibyte, 6 * mebibyte - 512, diskBytes - 512];
  const kept = [1.5 * mebibyte, 4 * mebibyte, 6.5 * mebibyte];
  beforeEach(() => {
    linux.files.makeNode(target.path, "block-device", { permissions: 0o600, rdev: 0x800 });
    for (const at of [...old, ...kept]) write("/sda", at, "old content");
  });

  test("clears what others would take it for at once, and gives it its table last", () => {
    const disk = openDisk(linux, target, raw);
    expect([disk.path, disk.isSparse]).toEqual(["/sda", false]);
    const cleared = bytes("/sda");
    for (const at of old) expect({ at, byte: cleared[at] }).toEqual({ at, byte: 0 });
    // To clear all of a disk takes hours.
    for (const at of kept) expect({ at, byte: cleared[at] }).toEqual({ at, byte: 111 });
    disk.commit(table);
    expect(signature(bytes("/sda"))).toBe("EFI PART");
    expect(new TextDecoder().decode(bytes("/sda").subarray(diskBytes - 512, diskBytes - 504))).toBe("EFI PART");
    expect(linux.openPaths).toEqual([]);
  });

  test("is whole even where the kernel does not look at its partitions now", () => {
    linux = new FakeLinux({ runProgram: toolsThatSay((words) => (words[0] === "blockdev" ? "" : undefined)) });
    linux.files.makeNode(target.path, "block-device", { permissions: 0o600, rdev: 0x800 });
    openDisk(linux, target, raw).commit(table);
    expect(signature(bytes("/sda"))).toBe("EFI PART");
  });

  test("what is not taken for a fault of the kernel's is told", () => {
    const run = () => {
      throw new TypeError("a bug");
    };
    linux = new FakeLinux({ runProgram: run });
    linux.files.makeNode(target.path, "block-device", { permissions: 0o600, rdev: 0x800 });
    expect(() => openDisk(linux, target, raw).commit(table)).toThrow("a bug");
  });
});

describe("openDisk, for a file", () => {
  const target = { kind: "file", path: fromText("/disk"), exists: true } as const;
  beforeEach(() => linux.files.makeDirectory(raw.staging, 0o700));

  test("replaces the file when it is committed, and not before", () => {
    putFile(linux.files, "/disk", "precious");
    const disk = openDisk(linux, target, raw);
    expect(disk.isSparse).toBe(true);
    expect(linux.files.lstat(disk.path).sizeBytes).toBe(diskBytes);
    expect(linux.files.lstat(fromText("/disk")).sizeBytes).toBe(8);
    disk.commit(table);
    expect(signature(bytes("/disk"))).toBe("EFI PART");
    expect(linux.files.readDirectory(fromText("/"))).toEqual(["disk", "staging"]);
  });

  test("is under its name only when it is durable: a crash leaves the old file or the new one", () => {
    for (let failAt = 1; ; failAt++) {
      const before = new FakeLinux();
      putFile(before.files, "/disk", "precious");
      before.files.makeDirectory(raw.staging, 0o700);
      const fd = before.files.open(fromText("/"), "directory");
      before.files.syncFileSystem(fd);
      const machine = before.crash({ keepUnsynced: true }, { failAt });
      let done = false;
      try {
        openDisk(machine, target, raw).commit(table);
        done = true;
      } catch {}
      linux = machine.crash({ keepUnsynced: false });
      const { sizeBytes } = linux.files.lstat(fromText("/disk"));
      expect([8, diskBytes]).toContain(sizeBytes);
      if (sizeBytes === diskBytes) expect(signature(bytes("/disk"))).toBe("EFI PART");
      if (done) break;
    }
  });
});

test("copyToDisk: puts a file in its place, and leaves holes on a sparse target", () => {
  linux.files.writeNewFile(fromText("/part"), toBytes(fromText("part")), 0o600);
  putFile(linux.files, "/target", "0123456789");
  copyToDisk(linux.files, fromText("/part"), { path: fromText("/target"), offsetBytes: 3, isSparse: true });
  expect(new TextDecoder().decode(linux.files.readFile(fromText("/target"), 20))).toBe("012part789");
  linux.files.writeNewFile(fromText("/zeros"), new Uint8Array(4), 0o600);
  copyToDisk(linux.files, fromText("/zeros"), { path: fromText("/target"), offsetBytes: 0, isSparse: true });
  expect(new TextDecoder().decode(linux.files.readFile(fromText("/target"), 20))).toBe("012part789");
  copyToDisk(linux.files, fromText("/zeros"), { path: fromText("/target"), offsetBytes: 0, isSparse: false });
  expect(new TextDecoder().decode(linux.files.readFile(fromText("/target"), 20))).toBe("\0\0\0\0art789");
});
