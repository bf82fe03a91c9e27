import type { ByteString } from "../bytes/byte-string.ts";
import { fileType, typeMask } from "../tree/file-type.ts";
import type { Inode } from "../tree/inode.ts";
import {
  blockBits,
  blockSize,
  compactInodeSize,
  direntSize,
  extendedInodeSize,
  slotSize,
  superblockOffset,
  superblockSize,
} from "./format.ts";
import { cannotWrite, type DirectoryEntries, type InodeList } from "./inode-list.ts";
import {
  blocksWord,
  chunkBitsWord,
  extendedWord,
  gidWord,
  type InodeRecords,
  modeWord,
  nanosecondsWord,
  nlinkWord,
  outside,
  outsideWord,
  recordWords,
  secondsWord,
  sizeWord,
  slotWord,
  tailWord,
  uidWord,
  xattrSizeWord,
} from "./inode-records.ts";
import { outsideOf } from "./outside-files.ts";
import type { XattrSet } from "./xattr-set.ts";

/** Where everything in an image is: pass 1 of 2. Where the inodes are is in their records. Offsets are bytes from the start. */
export interface Layout {
  readonly inodesEnd: number;
  readonly sharedXattrsSize: number;
  readonly dataStart: number;
  readonly imageSize: number;
  readonly buildTime: BuildTime;
}

/** The oldest time of content change in a tree. An inode that has just this time need not repeat it. */
export interface BuildTime {
  /** Unsigned halves of a signed number of 64 bits. */
  readonly secondsLow: number;
  readonly secondsHigh: number;
  readonly nanoseconds: number;
}

/** A directory or inline file leaves at most this much of its end behind its inode; more gets a block of its own. */
const maxTailSize = 2048;

/** Chunks are as large as needed for one to do, up to this; and there are at most so many. */
const maxChunkBits = 43;
const maxChunkCount = 1024;

/**
 * Places every inode of `list`, in order.
 *
 * Everything follows from the sizes alone and is what libcomposefs does, down to its oddities: one byte elsewhere is
 * another image. O(inodes).
 *
 * @throws OsdeployError `bad-format` with libcomposefs's text when a file is larger than 8 PiB.
 */
export function layOut(list: InodeList): Layout {
  const sharedXattrsSize = list.xattrs.finish();
  const buildTime = oldestTime(list.records);
  const placer = new Placer(list, buildTime);
  for (let number = 0; number < list.records.count; number++) placer.place(number);
  const inodesEnd = roundUp(placer.position, slotSize);
  const dataStart = roundUp(inodesEnd + sharedXattrsSize, blockSize);
  return {
    inodesEnd,
    sharedXattrsSize,
    dataStart,
    imageSize: dataStart + placer.blocks * blockSize,
    buildTime,
  };
}

/** Rounds `position` up to a multiple of `step`. */
function roundUp(position: number, step: number): number {
  return Math.ceil(position / step) * step;
}

function oldestTime({ words, count }: InodeRecords): BuildTime {
  let high = words[secondsWord + 1] as number;
  let low = words[secondsWord] as number;
  let nanoseconds = words[nanosecondsWord] as number;
  for (let at = recordWords; at < count * recordWords; at += recordWords) {
    // Signed, which only the high half is.
    const order =
      ((words[at + secondsWord + 1] as number) | 0) - (high | 0) ||
      (words[at + secondsWord] as number) - low ||
      (words[at + nanosecondsWord] as number) - nanoseconds;
    if (order >= 0) continue;
    high = words[at + secondsWord + 1] as number;
    low = words[at + secondsWord] as number;
    nanoseconds = words[at + nanosecondsWord] as number;
  }
  return { secondsLow: low, secondsHigh: high, nanoseconds };
}

/** Places one inode after the other. */
class Placer {
  position = superblockOffset + superblockSize;
  blocks = 0;
  readonly #list: InodeList;
  readonly #words: Uint32Array;
  readonly #buildTime: BuildTime;
  /** Of the inode that is being placed: its data as whole blocks elsewhere and the end behind it. */
  #blocks = 0;
  #tail = 0;

  constructor(list: InodeList, buildTime: BuildTime) {
    this.#list = list;
    this.#words = list.records.words;
    this.#buildTime = buildTime;
  }

  place(number: number): void {
    const words = this.#words;
    const at = number * recordWords;
    const type = (words[at + modeWord] as number) & typeMask;
    this.#blocks = 0;
    this.#tail = 0;
    const isLarge = words[at + outsideWord] === outside.no ? this.#measureData(number, type) : this.#measure(at);
    const isExtended = isLarge || this.#needsExtended(at) ? 1 : 0;
    const xattrSize = this.#xattrSize(number);
    const head = (isExtended === 1 ? extendedInodeSize : compactInodeSize) + xattrSize;
    const start = roundUp(this.position, slotSize);
    const padding = type === fileType.symlink ? this.#padSymlink(start, head) : this.#padTail(start, head);
    if (type === fileType.directory) this.#setDirectorySize(at);
    words[at + slotWord] = (start + padding) / slotSize;
    words[at + extendedWord] = isExtended;
    words[at + xattrSizeWord] = xattrSize;
    words[at + blocksWord] = this.#blocks;
    words[at + tailWord] = this.#tail;
    this.position = start + padding + head + this.#tail;
    this.blocks += this.#blocks;
  }

  /** Bytes of the inode's xattr area. */
  #xattrSize(number: number): number {
    const { xattrSets, xattrs, digests, sources } = this.#list;
    const set = xattrSets[number] as XattrSet;
    const at = number * recordWords + outsideWord;
    if (this.#words[at] === outside.no) return set.areaSize;
    if (this.#words[at] === outside.byDigest && digests !== undefined) {
      if (set.sharedCount === set.pairs.length) return xattrs.overlay.areaSizeByDigest(set, digests);
      this.#words[at] = outside.other;
    }
    return xattrs.overlay.areaSize(set, outsideOf(sources[number] as Inode));
  }

  /** Sets the data of a file whose bytes lie outside, and says whether its size needs 64 bits. */
  #measure(at: number): boolean {
    const low = this.#words[at + sizeWord] as number;
    const high = this.#words[at + sizeWord + 1] as number;
    // What a double cannot hold exactly is beyond the largest chunk anyway.
    const bits = chunkBits(high * 2 ** 32 + low);
    this.#words[at + chunkBitsWord] = bits;
    this.#tail = 4 * (bits < maxChunkBits ? 1 : countLargestChunks((BigInt(high) << 32n) | BigInt(low)));
    return high > 0;
  }

  /** Sets the data of any other inode, and says whether the size that it claims needs 64 bits. */
  #measureData(number: number, type: number): boolean {
    const at = number * recordWords;
    const size = this.#words[at + sizeWord] as number;
    if (type === fileType.directory) this.#measureDirectory(number);
    else if (type === fileType.symlink) this.#tail = size;
    else this.#setData(Math.floor(size / blockSize), size % blockSize);
    return this.#words[at + extendedWord] === 1 || this.#blocks * blockSize + this.#tail > maxU32;
  }

  /** All of its blocks, and the end behind its inode. */
  #setDirectorySize(at: number): void {
    const size = this.#blocks * blockSize + this.#tail;
    this.#words[at + sizeWord] = size;
    this.#words[at + sizeWord + 1] = size / 2 ** 32;
  }

  #measureDirectory(number: number): void {
    let blocks = 0;
    let used = 0;
    const { names } = this.#list.entries.get(number) as DirectoryEntries;
    // A plain loop is compiled sooner.
    for (let i = 0; i < names.length; i++) {
      const cost = direntSize + (names[i] as ByteString).length;
      if (used + cost > blockSize) {
        blocks += 1;
        used = 0;
      }
      used += cost;
    }
    this.#setData(blocks, used);
  }

  #setData(blocks: number, tail: number): void {
    this.#blocks = tail > maxTailSize ? blocks + 1 : blocks;
    this.#tail = tail > maxTailSize ? 0 : tail;
  }

  #needsExtended(at: number): boolean {
    const words = this.#words;
    const { secondsLow, secondsHigh, nanoseconds } = this.#buildTime;
    return (
      (words[at + nlinkWord] as number) > 0xffff ||
      (words[at + uidWord] as number) > 0xffff ||
      (words[at + gidWord] as number) > 0xffff ||
      words[at + nanosecondsWord] !== nanoseconds ||
      words[at + secondsWord] !== secondsLow ||
      words[at + secondsWord + 1] !== secondsHigh
    );
  }

  /** A symlink's inode and target lie in one block; a target that leaves no room for that gets its own. */
  #padSymlink(start: number, head: number): number {
    const end = start + head + this.#tail - 1;
    const crosses = Math.floor(start / blockSize) !== Math.floor(end / blockSize);
    if (head + this.#tail >= blockSize) this.#moveTail();
    return crosses ? roundUp(start, blockSize) - start : 0;
  }

  /** The tail must not cross a block; the inode may. A tail for which no padding helps gets its own block. */
  #padTail(start: number, head: number): number {
    const room = blockSize - ((start + head) % blockSize);
    if (room >= this.#tail) return 0;
    const padding = roundUp(room, slotSize);
    if (this.#tail <= blockSize - ((start + head + padding) % blockSize)) return padding;
    this.#moveTail();
    return roundUp(start, blockSize) - start;
  }

  /** Gives the tail a block of its own. */
  #moveTail(): void {
    this.#blocks += 1;
    this.#tail = 0;
  }
}

const maxU32 = 0xffffffff;

/** How many bits a chunk of a file of this size takes: the file as a whole where that is possible. */
function chunkBits(size: number): number {
  const last = size - 1;
  const bits = last <= maxU32 ? 32 - Math.clz32(last) : 64 - Math.clz32(Math.min(last / 2 ** 32, maxU32));
  return Math.min(Math.max(bits, blockBits), maxChunkBits);
}

/** The addition wraps in 64 bits, so that the largest sizes have no chunks at all and are accepted. */
function countLargestChunks(sizeBytes: bigint): number {
  const bits = BigInt(maxChunkBits);
  const count = BigInt.asUintN(64, sizeBytes + (1n << bits) - 1n) >> bits;
  if (count > maxChunkCount) throw cannotWrite("File too large");
  return Number(count);
}
