import type { ByteWriter } from "../bytes/byte-writer.ts";
import { OsdeployError } from "../errors.ts";
import { xattrHeaderSize } from "./format.ts";
import { compareKeys, writeEntry, type XattrPair } from "./xattr-pair.ts";

/** The most xattrs of one inode that refer to the shared table, as libcomposefs has it. */
const maxSharedReferences = 128;

/** What the 16 bits of an inode that count its xattr area in fours can say. */
const maxAreaSize = xattrHeaderSize + 4 * 65534;

/** The xattrs that some inodes have in the image, and the size of the area that holds them there. */
export interface XattrSet {
  /** In byte order of their keys. */
  readonly pairs: readonly XattrPair[];
  /** How many inodes have just these. */
  uses: number;
  sharedCount: number;
  /** Bytes of the xattr area; a multiple of 4. */
  areaSize: number;
  nameFilter: number;
}

/**
 * The set of `pairs`, which are in order, and what its area takes.
 *
 * @throws OsdeployError `limit-exceeded` when that is too much.
 */
export function measured(pairs: readonly XattrPair[]): XattrSet {
  let filter = -1;
  let areaSize = pairs.length === 0 ? 0 : xattrHeaderSize;
  let sharedCount = 0;
  for (const pair of pairs) {
    filter &= ~(1 << pair.key.filterBit);
    if (pair.sharedOffset >= 0 && sharedCount < maxSharedReferences) {
      sharedCount += 1;
      areaSize += 4;
    } else areaSize += pair.entrySize;
  }
  if (areaSize > maxAreaSize) {
    throw new OsdeployError("limit-exceeded", `Cannot write a root image: the xattrs of a file take ${areaSize} bytes`);
  }
  return { pairs, uses: 0, sharedCount, areaSize, nameFilter: filter >>> 0 };
}

/** `pairs` and one more, in order. */
export function insertPair(pairs: readonly XattrPair[], pair: XattrPair): XattrPair[] {
  const at = pairs.findLastIndex((other) => compareKeys(other, pair) < 0) + 1;
  return [...pairs.slice(0, at), pair, ...pairs.slice(at)];
}

/**
 * Writes the xattr area of an inode that has `set`; nothing when that is empty. `tableOffset` is where the shared table
 * starts, in bytes from the block that the superblock names for it.
 */
export function writeXattrArea(writer: ByteWriter, set: XattrSet, tableOffset: number): void {
  if (set.areaSize === 0) return;
  writer.u32(set.nameFilter);
  writeReferences(writer, set, tableOffset);
  let left = set.sharedCount;
  for (const pair of set.pairs) {
    if (pair.sharedOffset >= 0 && left > 0) left -= 1;
    else writeEntry(writer, pair);
  }
}

/** Writes all of the area's header but the filter, and where in the shared table the xattrs are. */
export function writeReferences(writer: ByteWriter, set: XattrSet, tableOffset: number): void {
  writer.u32(set.sharedCount);
  writer.u32(0);
  let left = set.sharedCount;
  for (const pair of set.pairs) {
    if (pair.sharedOffset < 0 || left === 0) continue;
    writer.u32((tableOffset + pair.sharedOffset) / 4);
    left -= 1;
  }
}
