import { expect, test } from "vitest";
import { ByteReader } from "../../../../src/core/bytes/byte-reader.ts";
import { toHex } from "../../../../src/core/bytes/hex.ts";
import { crc32 } from "../../../../src/core/disk/crc32.ts";
import { type Partition, type PartitionTable, tableBytes, writePartitionTable } from "../../../../src/core/disk/gpt.ts";
import { guidBytes, uuidOfSeed } from "../../../../src/core/disk/uuid.ts";
import { assert } from "../../../../src/core/errors.ts";

const mebibyte = 1024 * 1024;

function partition(changes: Partial<Partition> = {}): Partition {
  return {
    type: uuidOfSeed("type"),
    uuid: uuidOfSeed("partition"),
    name: "root",
    offsetBytes: mebibyte,
    sizeBytes: mebibyte,
    ...changes,
  };
}

function table(changes: Partial<PartitionTable> = {}): PartitionTable {
  return {
    diskUuid: uuidOfSeed("disk"),
    diskBytes: 4 * mebibyte,
    sectorBytes: 512,
    partitions: [partition()],
    ...changes,
  };
}

/** The disk as it is after all pieces were written, in their order. */
function diskOf(made: PartitionTable): Uint8Array {
  const disk = new Uint8Array(made.diskBytes);
  for (const { offsetBytes, bytes } of writePartitionTable(made)) disk.set(bytes, offsetBytes);
  return disk;
}

test.each([512, 4096])(
  "writePartitionTable: both headers, with sectors of %i bytes, say the same and are checked",
  (sectorBytes) => {
    const disk = diskOf(table({ sectorBytes }));
    const reader = new ByteReader(disk, "disk");
    const last = disk.length / sectorBytes - 1;
    const entrySectors = 16384 / sectorBytes;
    for (const [own, other, entries] of [
      [1, last, 2],
      [last, 1, last - entrySectors],
    ] as const) {
      const at = own * sectorBytes;
      expect(reader.string(at, 8)).toBe("EFI PART");
      expect([reader.u32(at + 8), reader.u32(at + 12), reader.u32(at + 20)]).toEqual([0x10000, 92, 0]);
      expect([24, 32, 40, 48, 72].map((field) => Number(reader.u64(at + field)))).toEqual([
        own,
        other,
        2 + entrySectors,
        last - entrySectors - 1,
        entries,
      ]);
      expect([reader.u32(at + 80), reader.u32(at + 84)]).toEqual([128, 128]);
      expect(reader.u32(at + 88)).toBe(crc32(disk.subarray(entries * sectorBytes, entries * sectorBytes + 16384)));
      const header = disk.slice(at, at + 92);
      header.fill(0, 16, 20);
      expect(reader.u32(at + 16)).toBe(crc32(header));
    }
  },
);

test("writePartitionTable: an entry holds type, UUID, first and last sector, and the name in UTF-16", () => {
  const disk = diskOf(table());
  const reader = new ByteReader(disk, "disk");
  expect(toHex(disk.subarray(1024, 1040))).toBe(toHex(guidBytes(uuidOfSeed("type"))));
  expect(toHex(disk.subarray(1040, 1056))).toBe(toHex(guidBytes(uuidOfSeed("partition"))));
  expect([reader.u64(1056), reader.u64(1064), reader.u64(1072)]).toEqual([2048n, 4095n, 0n]);
  expect(reader.string(1080, 10)).toBe("r\0o\0o\0t\0\0\0");
});

test("writePartitionTable: the protective MBR covers the disk, as far as it can say", () => {
  const small = new ByteReader(diskOf(table()), "disk");
  expect([small.u8(450), small.u32(454), small.u32(458), small.u16(510)]).toEqual([0xee, 1, 8191, 0xaa55]);
  const [, start] = writePartitionTable(table({ diskBytes: 4 * 2 ** 40 }));
  assert(start !== undefined, "there are two pieces");
  expect(new ByteReader(start.bytes, "disk").u32(458)).toBe(0xffffffff);
});

test("writePartitionTable: the backup comes before what readers look at first", () => {
  expect(writePartitionTable(table()).map(({ offsetBytes }) => offsetBytes)).toEqual([
    4 * mebibyte - tableBytes(512).end,
    0,
  ]);
});

test("writePartitionTable: partitions that overlap, are no whole sectors or do not fit are a bug", () => {
  const wrong: readonly (readonly Partition[])[] = [
    [partition(), partition()],
    [partition({ offsetBytes: 0 })],
    [partition({ offsetBytes: mebibyte + 1 })],
    [partition({ sizeBytes: 100 })],
    [partition({ sizeBytes: 0 })],
    [partition({ sizeBytes: 3 * mebibyte })],
    [partition({ name: "x".repeat(37) })],
  ];
  for (const partitions of wrong)
    expect(() => writePartitionTable(table({ partitions }))).toThrow("should always be true");
});
