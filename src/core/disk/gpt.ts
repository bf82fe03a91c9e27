import { ByteWriter } from "../bytes/byte-writer.ts";
import { assert } from "../errors.ts";
import { crc32 } from "./crc32.ts";
import { guidBytes, type Uuid } from "./uuid.ts";

/** One partition, in bytes from the start of the disk; both are multiples of the sector. */
export interface Partition {
  /** What it is for: one of the discoverable partition types. */
  readonly type: Uuid;
  readonly uuid: Uuid;
  /** At most 36 UTF-16 units. */
  readonly name: string;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

export interface PartitionTable {
  readonly diskUuid: Uuid;
  readonly diskBytes: number;
  /** 512, or 4096 on disks with large sectors. */
  readonly sectorBytes: number;
  readonly partitions: readonly Partition[];
}

/** Bytes that go to one place on the disk. */
export interface DiskPiece {
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

const entryCount = 128;
const entryBytes = 128;
const headerBytes = 92;
const revision = 0x00010000;
/** The type that a protective MBR gives its one partition, so that old tools take the disk for full. */
const protectiveType = 0xee;

/** What the table itself takes at the start of a disk, and at its end. */
export function tableBytes(sectorBytes: number): { readonly start: number; readonly end: number } {
  const entries = Math.ceil((entryCount * entryBytes) / sectorBytes) * sectorBytes;
  return { start: 2 * sectorBytes + entries, end: sectorBytes + entries };
}

/**
 * A GUID partition table: the backup at the end of the disk first, then the protective MBR, header and entries at its start,
 * in the order in which they are to be written: what a reader looks at first comes last.
 *
 * @see https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html
 */
export function writePartitionTable(table: PartitionTable): readonly DiskPiece[] {
  const { sectorBytes, diskBytes } = table;
  const lastSector = diskBytes / sectorBytes - 1;
  const { start, end } = tableBytes(sectorBytes);
  const entries = writeEntries(table);
  const backup = new ByteWriter(end);
  backup.bytes.set(entries, 0);
  const entrySectors = entries.length / sectorBytes;
  const backupHeader = writeHeader(table, entries, {
    own: lastSector,
    other: 1,
    entries: lastSector - entrySectors,
  });
  backup.bytes.set(backupHeader, entries.length);
  const primary = new Uint8Array(start);
  primary.set(writeProtectiveMbr(table), 0);
  primary.set(writeHeader(table, entries, { own: 1, other: lastSector, entries: 2 }), sectorBytes);
  primary.set(entries, 2 * sectorBytes);
  return [
    { offsetBytes: diskBytes - end, bytes: backup.bytes },
    { offsetBytes: 0, bytes: primary },
  ];
}

function writeEntries({ partitions, sectorBytes, diskBytes }: PartitionTable): Uint8Array {
  const { start, end } = tableBytes(sectorBytes);
  const writer = new ByteWriter(start - 2 * sectorBytes);
  let free = start;
  for (const [index, { type, uuid, name, offsetBytes, sizeBytes }] of partitions.entries()) {
    assert(offsetBytes >= free && offsetBytes % sectorBytes === 0, "partitions follow each other, at whole sectors");
    assert(sizeBytes > 0 && sizeBytes % sectorBytes === 0, "partitions are whole sectors");
    free = offsetBytes + sizeBytes;
    writer.offset = index * entryBytes;
    writer.bytes.set(guidBytes(type), writer.offset);
    writer.bytes.set(guidBytes(uuid), writer.offset + 16);
    writer.offset += 32;
    writer.safe64(offsetBytes / sectorBytes);
    writer.safe64(free / sectorBytes - 1);
    writer.safe64(0);
    assert(name.length <= 36, "a partition's name has at most 36 characters");
    for (let at = 0; at < name.length; at++) writer.u16(name.charCodeAt(at));
  }
  assert(free <= diskBytes - end, "the last partition ends before the backup table");
  return writer.bytes;
}

/** The sectors where a header lies, where its twin is, and where its entries start. */
interface HeaderPlace {
  readonly own: number;
  readonly other: number;
  readonly entries: number;
}

function writeHeader(table: PartitionTable, entries: Uint8Array, place: HeaderPlace): Uint8Array {
  const { sectorBytes, diskBytes } = table;
  const { start, end } = tableBytes(sectorBytes);
  const writer = new ByteWriter(sectorBytes);
  for (const letter of "EFI PART") writer.u8(letter.charCodeAt(0));
  writer.u32(revision);
  writer.u32(headerBytes);
  writer.offset += 8; // its own CRC, which is computed with zeros here, and a reserved field
  writer.safe64(place.own);
  writer.safe64(place.other);
  writer.safe64(start / sectorBytes);
  writer.safe64((diskBytes - end) / sectorBytes - 1);
  writer.bytes.set(guidBytes(table.diskUuid), writer.offset);
  writer.offset += 16;
  writer.safe64(place.entries);
  writer.u32(entryCount);
  writer.u32(entryBytes);
  writer.u32(crc32(entries.subarray(0, entryCount * entryBytes)));
  const checksum = crc32(writer.bytes.subarray(0, headerBytes));
  writer.offset = 16;
  writer.u32(checksum);
  return writer.bytes;
}

function writeProtectiveMbr({ diskBytes, sectorBytes }: PartitionTable): Uint8Array {
  const writer = new ByteWriter(sectorBytes);
  writer.offset = 446;
  for (const byte of [0, 0x00, 0x02, 0x00, protectiveType, 0xff, 0xff, 0xff]) writer.u8(byte);
  writer.u32(1);
  writer.u32(Math.min(diskBytes / sectorBytes - 1, 0xffffffff));
  writer.offset = 510;
  writer.u16(0xaa55);
  return writer.bytes;
}
