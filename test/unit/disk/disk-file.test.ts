import { beforeEach, describe, expect, test } from "vitest";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import type { PartitionTable } from "../../../src/core/disk/gpt.ts";
import { uuidOfSeed } from "../../../src/core/disk/uuid.ts";
import { copyToDisk, openDisk } from "../../../src/disk/disk-file.ts";
import { putFile, toolsThatSay } from "../../builders/tool-runs.ts";
import { FakeLinux, SimulatedCrash } from "../../fakes/fake-linux.ts";

const mebibyte = 1024 * 1024;
const diskBytes = 8 * mebibyte;
const table: PartitionTable = { diskUuid: uuidOfSeed("disk"), diskBytes, sectorBytes: 512, partitions: [] };
const root = { offsetBytes: 2 * mebibyte, sizeBytes: 4 * mebibyte };
const raw = { diskBytes, root, format: "raw", staging: fromText("/staging") } as const;

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux();
});

function bytes(path: string, { files }: FakeLinux = linux): Uint8Array {
  const fd = files.open(fromText(path), "update");
  const all = new Uint8Array(diskBytes);
  files.read(fd, all, { offset: 0, length: diskBytes, position: 0 });
  files.close(fd);
  return all;
}

function write(path: string, position: number, text: string, { files }: FakeLinux = linux): void {
  const fd = files.open(fromText(path), "update");
  files.writeAt(fd, toBytes(fromText(text)), position);
  files.close(fd);
}

function syncAll({ files }: FakeLinux): void {
  const fd = files.open(fromText("/"), "directory");
  files.syncFileSystem(fd);
  files.close(fd);
}

const textAt = (disk: Uint8Array, position: number, length: number) =>
  new TextDecoder().decode(disk.subarray(position, position + length));
const signature = (disk: Uint8Array) => textAt(disk, 512, 8);

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

  test("what it was is gone before anything else is written, and its table is there only with all else", () => {
    syncAll(linux);
    let commits = 0;
    for (let failAt = 1; ; failAt++) {
      const machine = linux.crash({ keepUnsynced: true }, { failAt });
      let step: "begun" | "cleared" | "done" = "begun";
      try {
        const disk = openDisk(machine, target, raw);
        step = "cleared";
        // As mkfs does, which syncs nothing.
        write(disk.path, 4 * mebibyte, "new content", machine);
        disk.commit(table);
        step = "done";
      } catch (error) {
        if (!(error instanceof SimulatedCrash)) throw error;
      }
      const after = bytes("/sda", machine.crash({ keepUnsynced: false }));
      const state = { failAt, step, cleared: after[1080] === 0, content: textAt(after, 4 * mebibyte, 11) };
      const hasTable = textAt(after, 512, 8) === "EFI PART";
      if (step !== "begun") expect(state).toMatchObject({ cleared: true });
      if (hasTable) expect(state).toMatchObject({ content: "new content" });
      if (hasTable) commits += 1;
      if (step !== "done") continue;
      expect({ hasTable, backup: textAt(after, diskBytes - 512, 8) }).toEqual({ hasTable: true, backup: "EFI PART" });
      break;
    }
    expect(commits).toBeGreaterThan(0);
  });

  test("its table is not on its way before all else has arrived", () => {
    const disk = openDisk(linux, target, raw);
    const start = linux.trace.length;
    disk.commit(table);
    expect(linux.trace.slice(start).map(({ call }) => call)).toEqual(["sync", "writeAt", "writeAt", "sync"]);
  });

  test("the kernel is asked to look at its partitions", () => {
    const seen: string[] = [];
    const runProgram = toolsThatSay((words) => {
      seen.push(words.join(" "));
      return "";
    });
    linux = new FakeLinux({ runProgram });
    linux.files.makeNode(target.path, "block-device", { permissions: 0o600, rdev: 0x800 });
    openDisk(linux, target, { ...raw, format: "qcow2" }).commit(table);
    expect(seen).toEqual(["blockdev --rereadpt /sda"]);
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
    // It holds keys and password hashes.
    expect(linux.files.lstat(fromText("/disk")).permissions).toBe(0o600);
    expect(linux.files.readDirectory(fromText("/"))).toEqual(["disk", "staging"]);
  });

  test.each(["raw", "qcow2"] as const)("is under its name only when it is durable, as a %s file", (format) => {
    for (let failAt = 1; ; failAt++) {
      let machine: FakeLinux;
      const runProgram = toolsThatSay((words) => {
        expect(words.slice(0, -1)).toEqual("qemu-img convert -f raw -O qcow2 /staging/disk.img".split(" "));
        expect(signature(bytes("/staging/disk.img", machine))).toBe("EFI PART");
        putFile(machine.files, words.at(-1) ?? "", "QFI\xfb and more");
        return "";
      });
      const before = new FakeLinux({ runProgram });
      putFile(before.files, "/disk", "precious");
      before.files.makeDirectory(raw.staging, 0o700);
      syncAll(before);
      machine = before.crash({ keepUnsynced: true }, { failAt });
      let done = false;
      try {
        openDisk(machine, target, { ...raw, format }).commit(table);
        done = true;
      } catch (error) {
        if (!(error instanceof SimulatedCrash)) throw error;
      }
      for (const names of ["lost", "kept"] as const) {
        const after = machine.crash({ keepUnsynced: false, names });
        const found = bytes("/disk", after);
        const whole = format === "raw" ? signature(found) === "EFI PART" : textAt(found, 0, 3) === "QFI";
        const state = { failAt, names, whole, old: textAt(found, 0, 8) === "precious" };
        expect(state).toEqual({ failAt, names, whole, old: !whole });
        if (!done) continue;
        const { permissions } = after.files.lstat(fromText("/disk"));
        expect({ whole, permissions }).toEqual({ whole: true, permissions: 0o600 });
      }
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

test("copyToDisk: copies files of any size, durable when it returns", () => {
  const part = Uint8Array.from({ length: 5 * mebibyte }, (_, at) => (at >> 12) % 251);
  linux.files.writeNewFile(fromText("/part"), part, 0o600);
  linux.files.writeNewFile(fromText("/target"), new Uint8Array(diskBytes), 0o600);
  syncAll(linux);
  copyToDisk(linux.files, fromText("/part"), { path: fromText("/target"), offsetBytes: mebibyte, isSparse: false });
  const after = bytes("/target", linux.crash({ keepUnsynced: false }));
  expect(Buffer.compare(after.subarray(mebibyte, 6 * mebibyte), part)).toBe(0);
});
