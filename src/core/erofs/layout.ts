import { assert } from "../errors.ts";
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
import {
  cannotWrite,
  type DirectoryEntries,
  dataOf,
  externalOf,
  type ImageInode,
  type InodeList,
  nlinkOf,
} from "./inode-list.ts";
import type { XattrTable } from "./xattr-table.ts";

/** Where everything in an image is: pass 1 of 2. Arrays are by inode number; offsets are bytes from the image's start. */
export interface Layout {
  /** Each a multiple of {@link slotSize}. */
  readonly inodeOffsets: Float64Array;
  /** 1 where the inode takes 64 bytes instead of 32. */
  readonly extended: Uint8Array;
  /** Blocks of its own that the inode has after all inodes. */
  readonly blockCounts: Uint32Array;
  /** Bytes of data right behind the inode and its xattrs. */
  readonly tailSizes: Uint32Array;
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
  const buildTime = oldestTime(list.inodes);
  const placer = new Placer(list.inodes.length);
  for (const inode of list.inodes) placer.place(inode, areaSizeOf(inode, list.xattrs), buildTime);
  const inodesEnd = roundUp(placer.position, slotSize);
  const dataStart = roundUp(inodesEnd + sharedXattrsSize, blockSize);
  return {
    inodeOffsets: placer.inodeOffsets,
    extended: placer.extended,
    blockCounts: placer.blockCounts,
    tailSizes: placer.tailSizes,
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

function oldestTime(inodes: readonly ImageInode[]): BuildTime {
  const [root] = inodes;
  assert(root !== undefined, "every tree has a root");
  let oldest = root.source.stat;
  for (const { source } of inodes) {
    const { stat } = source;
    if (stat.mtimeSeconds > oldest.mtimeSeconds) continue;
    if (stat.mtimeSeconds < oldest.mtimeSeconds || stat.mtimeNanoseconds < oldest.mtimeNanoseconds) oldest = stat;
  }
  return { seconds: oldest.mtimeSeconds, nanoseconds: oldest.mtimeNanoseconds };
}

/** Data of an inode: whole blocks elsewhere, and the end behind the inode. */
interface DataSize {
  blocks: number;
  tail: number;
}

class Placer {
  readonly inodeOffsets: Float64Array;
  readonly extended: Uint8Array;
  readonly blockCounts: Uint32Array;
  readonly tailSizes: Uint32Array;
  position = superblockOffset + superblockSize;
  blocks = 0;

  constructor(count: number) {
    this.inodeOffsets = new Float64Array(count);
    this.extended = new Uint8Array(count);
    this.blockCounts = new Uint32Array(count);
    this.tailSizes = new Uint32Array(count);
  }

  place(inode: ImageInode, xattrsSize: number, buildTime: BuildTime): void {
    const data = measureData(inode);
    const extended = needsExtended(inode, data, buildTime);
    const head = (extended ? extendedInodeSize : compactInodeSize) + xattrsSize;
    const start = roundUp(this.position, slotSize);
    const isSymlink = (inode.mode & typeMask) === fileType.symlink;
    const padding = isSymlink ? padSymlink(start, head, data) : padTail(start, head, data);
    this.inodeOffsets[inode.number] = start + padding;
    this.extended[inode.number] = extended ? 1 : 0;
    this.blockCounts[inode.number] = data.blocks;
    this.tailSizes[inode.number] = data.tail;
    this.position = start + padding + head + data.tail;
    this.blocks += data.blocks;
  }
}

/** A symlink's inode and target lie in one block; a target that leaves no room for that gets its own. */
function padSymlink(start: number, head: number, data: DataSize): number {
  const end = start + head + data.tail - 1;
  const crosses = Math.floor(start / blockSize) !== Math.floor(end / blockSize);
  if (head + data.tail >= blockSize) {
    data.blocks += 1;
    data.tail = 0;
  }
  return crosses ? roundUp(start, blockSize) - start : 0;
}

/** The tail must not cross a block; the inode may. A tail for which no padding helps gets its own block. */
function padTail(start: number, head: number, data: DataSize): number {
  const room = blockSize - ((start + head) % blockSize);
  if (room >= data.tail) return 0;
  const padding = roundUp(room, slotSize);
  if (data.tail <= blockSize - ((start + head + padding) % blockSize)) return padding;
  data.blocks += 1;
  data.tail = 0;
  return roundUp(start, blockSize) - start;
}

function needsExtended(inode: ImageInode, data: DataSize, buildTime: BuildTime): boolean {
  const { stat } = inode.source;
  return (
    claimsLargeSize(inode) ||
    nlinkOf(inode) > 0xffff ||
    stat.uid > 0xffff ||
    stat.gid > 0xffff ||
    stat.mtimeNanoseconds !== buildTime.nanoseconds ||
    stat.mtimeSeconds !== buildTime.seconds ||
    (inode.entries !== undefined && data.blocks * blockSize + data.tail > 0xffffffff)
  );
}

/** Whether the size that it claims needs 64 bits. A device's claim counts, though it is never written. */
function claimsLargeSize(inode: ImageInode): boolean {
  const { source } = inode;
  if (source.kind === "regular") return source.content.kind === "external" && source.content.sizeBytes > maxU32;
  const isSpecial = source.kind !== "directory" && source.kind !== "symlink";
  return isSpecial && !isEscapedWhiteout(inode) && source.claimedSizeBytes > maxU32;
}

const maxU32 = 0xffffffffn;

function isEscapedWhiteout(inode: ImageInode): boolean {
  return (inode.mode & typeMask) === fileType.regular;
}

function areaSizeOf(inode: ImageInode, xattrs: XattrTable): number {
  const external = externalOf(inode);
  return external === undefined ? inode.xattrs.areaSize : xattrs.external(inode.xattrs, external).areaSize;
}

function measureData(inode: ImageInode): DataSize {
  if (inode.entries !== undefined) return measureDirectory(inode.entries);
  const external = externalOf(inode);
  if (external !== undefined) return { blocks: 0, tail: 4 * countChunks(external.sizeBytes) };
  const { length } = dataOf(inode);
  if ((inode.mode & typeMask) === fileType.symlink) return { blocks: 0, tail: length };
  return withSmallTail(Math.floor(length / blockSize), length % blockSize);
}

function withSmallTail(blocks: number, tail: number): DataSize {
  return tail > maxTailSize ? { blocks: blocks + 1, tail: 0 } : { blocks, tail };
}

function measureDirectory(entries: DirectoryEntries): DataSize {
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
  return withSmallTail(blocks, used);
}

/** How many bits a chunk of a file of this size takes: the file as a whole where that is possible. */
export function chunkBits(sizeBytes: bigint): number {
  // What a double cannot hold exactly is beyond the largest chunk anyway.
  const last = Number(sizeBytes) - 1;
  const bits = last < 2 ** 32 ? 32 - Math.clz32(last) : 64 - Math.clz32(Math.min(last / 2 ** 32, 0xffffffff));
  return Math.min(Math.max(bits, blockBits), maxChunkBits);
}

/** The addition wraps in 64 bits, so that the largest sizes have no chunks at all and are accepted. */
function countChunks(sizeBytes: bigint): number {
  const bits = chunkBits(sizeBytes);
  if (bits < maxChunkBits) return 1;
  const count = BigInt.asUintN(64, sizeBytes + (1n << BigInt(bits)) - 1n) >> BigInt(bits);
  if (count > maxChunkCount) throw cannotWrite("File too large");
  return Number(count);
}
