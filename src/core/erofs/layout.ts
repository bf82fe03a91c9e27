import { element } from "../bytes/element.ts";
import type { ExternalContent, Inode, SpecialFile, Stat } from "../tree/inode.ts";
import {
  blockBits,
  blockSize,
  compactInodeSize,
  direntSize,
  extendedInodeSize,
  fileType,
  slotSize,
  superblockOffset,
  superblockSize,
  typeMask,
} from "./format.ts";
import { cannotWrite, type DirectoryEntries, dataOf, type InodeList, nlinkOf, outsideOf } from "./inode-list.ts";
import type { XattrSet } from "./xattr-set.ts";

/** Where everything in an image is: pass 1 of 2. Arrays are by inode number; offsets are bytes from the image's start. */
export interface Layout {
  /** Each a multiple of {@link slotSize}. */
  readonly inodeOffsets: Float64Array;
  /** 1 where the inode takes 64 bytes instead of 32. */
  readonly extended: Uint8Array;
  /** Bytes of the xattr area behind the inode. */
  readonly xattrSizes: Uint32Array;
  /** Blocks of its own that the inode has after all inodes. */
  readonly blockCounts: Uint32Array;
  /** Bytes of data right behind the inode and its xattrs. */
  readonly tailSizes: Uint32Array;
  /** Only of files outside: how many bits a chunk takes. */
  readonly chunkBits: Uint8Array;
  readonly inodesEnd: number;
  readonly sharedXattrsSize: number;
  readonly dataStart: number;
  readonly imageSize: number;
  readonly buildTime: BuildTime;
}

/** The oldest time of content change in a tree. An inode that has just this time need not repeat it. */
export interface BuildTime {
  readonly seconds: bigint;
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
  const buildTime = oldestTime(list.sources);
  const placer = new Placer(list, buildTime);
  for (let number = 0; number < list.sources.length; number++) placer.place(number);
  const inodesEnd = roundUp(placer.position, slotSize);
  const dataStart = roundUp(inodesEnd + sharedXattrsSize, blockSize);
  return {
    inodeOffsets: placer.inodeOffsets,
    extended: placer.extended,
    xattrSizes: placer.xattrSizes,
    blockCounts: placer.blockCounts,
    tailSizes: placer.tailSizes,
    chunkBits: placer.chunkBits,
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

function oldestTime(sources: readonly Inode[]): BuildTime {
  let oldest = element(sources, 0).stat;
  let last = oldest;
  for (const { stat } of sources) {
    // Runs of files that share one are common, and bigints are slow to compare.
    if (stat === last) continue;
    last = stat;
    if (stat.mtimeSeconds > oldest.mtimeSeconds) continue;
    if (stat.mtimeSeconds < oldest.mtimeSeconds || stat.mtimeNanoseconds < oldest.mtimeNanoseconds) oldest = stat;
  }
  return { seconds: oldest.mtimeSeconds, nanoseconds: oldest.mtimeNanoseconds };
}

/** Places one inode after the other. */
class Placer {
  readonly inodeOffsets: Float64Array;
  readonly extended: Uint8Array;
  readonly xattrSizes: Uint32Array;
  readonly blockCounts: Uint32Array;
  readonly tailSizes: Uint32Array;
  readonly chunkBits: Uint8Array;
  position = superblockOffset + superblockSize;
  blocks = 0;
  readonly #list: InodeList;
  readonly #buildTime: BuildTime;
  /** Of the inode that is being placed: its type, and its data as whole blocks elsewhere and the end behind it. */
  #type = 0;
  #blocks = 0;
  #tail = 0;
  /** Files that follow each other often share one. */
  #lastStat: Stat | undefined;
  #lastNeedsExtended = false;

  constructor(list: InodeList, buildTime: BuildTime) {
    const count = list.sources.length;
    this.inodeOffsets = new Float64Array(count);
    this.extended = new Uint8Array(count);
    this.xattrSizes = new Uint32Array(count);
    this.blockCounts = new Uint32Array(count);
    this.tailSizes = new Uint32Array(count);
    this.chunkBits = new Uint8Array(count);
    this.#list = list;
    this.#buildTime = buildTime;
  }

  place(number: number): void {
    const source = this.#list.sources[number] as Inode;
    const set = this.#list.xattrSets[number] as XattrSet;
    const outside = outsideOf(source);
    this.#type = (this.#list.modes[number] as number) & typeMask;
    this.#blocks = 0;
    this.#tail = 0;
    const claimsLargeSize = outside === undefined ? this.#measureData(number, source) : this.#measure(number, outside);
    const needsExtended = claimsLargeSize || nlinkOf(this.#list, number) > 0xffff || this.#needsExtended(source.stat);
    const xattrSize = outside === undefined ? set.areaSize : this.#list.xattrs.overlay.areaSize(set, outside);
    const head = (needsExtended ? extendedInodeSize : compactInodeSize) + xattrSize;
    const start = roundUp(this.position, slotSize);
    const padding = this.#type === fileType.symlink ? this.#padSymlink(start, head) : this.#padTail(start, head);
    this.inodeOffsets[number] = start + padding;
    this.extended[number] = needsExtended ? 1 : 0;
    this.xattrSizes[number] = xattrSize;
    this.blockCounts[number] = this.#blocks;
    this.tailSizes[number] = this.#tail;
    this.position = start + padding + head + this.#tail;
    this.blocks += this.#blocks;
  }

  /** Sets the data of a file whose bytes lie outside, and says whether its size needs 64 bits. */
  #measure(number: number, outside: ExternalContent): boolean {
    // What a double cannot hold exactly is beyond the largest chunk, and beyond 32 bits, anyway.
    const size = Number(outside.sizeBytes);
    const bits = chunkBits(size);
    this.chunkBits[number] = bits;
    this.#tail = 4 * (bits < maxChunkBits ? 1 : countLargestChunks(outside.sizeBytes));
    return size > maxU32;
  }

  /** Sets the data of any other inode, and says whether the size that it claims needs 64 bits. */
  #measureData(number: number, source: Inode): boolean {
    const entries = this.#list.entries.get(number);
    if (entries !== undefined) {
      this.#measureDirectory(entries);
      return this.#blocks * blockSize + this.#tail > maxU32;
    }
    const { length } = dataOf(source);
    if (this.#type === fileType.symlink) this.#tail = length;
    else this.#setData(Math.floor(length / blockSize), length % blockSize);
    return this.#isSpecial(source) && source.claimedSizeBytes > maxBigU32;
  }

  /** A device's claim of size counts, though it is never written. A whiteout is a regular file in the image. */
  #isSpecial(source: Inode): source is SpecialFile {
    return "claimedSizeBytes" in source && this.#type !== fileType.regular;
  }

  #measureDirectory(entries: DirectoryEntries): void {
    let blocks = 0;
    let used = 0;
    for (const name of entries.names) {
      const cost = direntSize + name.length;
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

  #needsExtended(stat: Stat): boolean {
    if (stat === this.#lastStat) return this.#lastNeedsExtended;
    this.#lastStat = stat;
    this.#lastNeedsExtended =
      stat.uid > 0xffff ||
      stat.gid > 0xffff ||
      stat.mtimeNanoseconds !== this.#buildTime.nanoseconds ||
      stat.mtimeSeconds !== this.#buildTime.seconds;
    return this.#lastNeedsExtended;
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
const maxBigU32 = BigInt(maxU32);

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
