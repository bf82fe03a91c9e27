import type { ByteString } from "../bytes/byte-string.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { element } from "../bytes/element.ts";
import type { ExternalContent, FileTree } from "../tree/inode.ts";
import {
  aclFlag,
  blockBits,
  blockSize,
  composefsHeaderVersion,
  composefsMagic,
  dataLayout,
  direntSize,
  direntTypes,
  erofsMagic,
  featureCompat,
  slotSize,
  superblockOffset,
  superblockSize,
  typeMask,
  xattrHeaderSize,
} from "./format.ts";
import {
  type DirectoryEntries,
  dataOf,
  type ErofsVersion,
  externalOf,
  type ImageInode,
  type InodeList,
  listInodes,
  nlinkOf,
} from "./inode-list.ts";
import { chunkBits, type Layout, layOut } from "./layout.ts";
import { writeXattrArea } from "./xattr-table.ts";

/** What to write. */
export interface ErofsOptions {
  /**
   * The format version, or a range: then it is the lowest, except that a tree with whiteouts gets 1 when that is in the
   * range.
   */
  readonly version: ErofsVersion;
}

/**
 * The root image of `tree`: the same bytes that mkcomposefs writes for it.
 *
 * Equal trees give equal images on every machine. Time and memory are linear in the number of inodes (names are sorted);
 * nothing recurses.
 *
 * @throws OsdeployError `bad-format` with mkcomposefs's text where it fails as well, or when a name or target is none;
 * `limit-exceeded` when xattrs or inline content are too large.
 */
export function writeErofs(tree: FileTree, options: ErofsOptions): Uint8Array<ArrayBuffer> {
  const list = listInodes(tree, options.version);
  const layout = layOut(list);
  const writer = new ImageWriter(list, layout);
  return writer.write();
}

/** Pass 2 of 2. Where it writes is the layout's doing; what is not written is zero. */
class ImageWriter {
  readonly #list: InodeList;
  readonly #layout: Layout;
  readonly #out: ByteWriter;
  /** The block that the next inode with data gets. */
  #nextBlock: number;

  constructor(list: InodeList, layout: Layout) {
    this.#list = list;
    this.#layout = layout;
    this.#out = new ByteWriter(layout.imageSize);
    this.#nextBlock = layout.dataStart / blockSize;
  }

  write(): Uint8Array<ArrayBuffer> {
    this.#writeHeader();
    this.#writeSuperblock();
    for (const inode of this.#list.inodes) this.#writeInode(inode);
    this.#out.offset = this.#layout.inodesEnd;
    this.#list.xattrs.writeShared(this.#out);
    return this.#out.bytes;
  }

  #writeHeader(): void {
    const out = this.#out;
    out.u32(composefsMagic);
    out.u32(composefsHeaderVersion);
    out.u32(this.#list.xattrs.hasAcl ? aclFlag : 0);
    out.u32(this.#list.version);
  }

  #writeSuperblock(): void {
    const out = this.#out;
    const { buildTime, imageSize, inodesEnd } = this.#layout;
    out.offset = superblockOffset;
    out.u32(erofsMagic);
    out.u32(0);
    out.u32(featureCompat);
    out.u8(blockBits);
    out.u8(0);
    out.u16(this.#nid(0));
    out.safe64(this.#list.inodes.length);
    out.big64(buildTime.seconds);
    out.u32(buildTime.nanoseconds);
    out.u32(imageSize / blockSize);
    out.u32(0);
    out.u32(Math.floor(inodesEnd / blockSize));
    out.offset = superblockOffset + superblockSize;
  }

  #nid(number: number): number {
    return element(this.#layout.inodeOffsets, number) / slotSize;
  }

  #writeInode(inode: ImageInode): void {
    const { inodeOffsets, extended, blockCounts, tailSizes, inodesEnd } = this.#layout;
    const blocks = element(blockCounts, inode.number);
    const tail = element(tailSizes, inode.number);
    const firstBlock = this.#nextBlock;
    this.#nextBlock += blocks;
    const isExtended = extended[inode.number] === 1;
    const external = externalOf(inode);
    const xattrs = external === undefined ? inode.xattrs : this.#list.xattrs.external(inode.xattrs, external);
    const out = this.#out;
    out.offset = element(inodeOffsets, inode.number);
    out.u16((layoutOf(external, tail) << 1) | (isExtended ? 1 : 0));
    out.u16(xattrs.areaSize === 0 ? 0 : (xattrs.areaSize - xattrHeaderSize) / 4 + 1);
    out.u16(inode.mode);
    const location = locate(inode, blocks > 0 ? firstBlock : 0);
    const size = inode.entries === undefined ? dataOf(inode).length : blocks * blockSize + tail;
    if (isExtended) writeExtended(out, inode, { size: external?.sizeBytes ?? BigInt(size), location });
    else writeCompact(out, inode, { size: external === undefined ? size : Number(external.sizeBytes), location });
    writeXattrArea(out, xattrs, inodesEnd % blockSize);
    this.#writeData(inode, { tail, blocks, firstBlock });
  }

  /** Whole blocks first, where they are, and then the tail behind the inode. */
  #writeData(inode: ImageInode, data: { tail: number; blocks: number; firstBlock: number }): void {
    const { tail, blocks, firstBlock } = data;
    const out = this.#out;
    const tailOffset = out.offset;
    const blocksOffset = firstBlock * blockSize;
    if (inode.entries !== undefined) this.#writeDirectory(inode.entries, tailOffset, { blocks, blocksOffset });
    else if (externalOf(inode) !== undefined) {
      // A map of chunks that point nowhere: the bytes lie outside. Where the map found no place, a whole block of it.
      if (blocks > 0) out.offset = blocksOffset;
      out.fill(0xff, blocks > 0 ? blockSize : tail);
    } else {
      const bytes = dataOf(inode);
      const inBlocks = bytes.length - tail;
      out.offset = blocks > 0 ? blocksOffset : tailOffset;
      out.string(bytes.slice(0, inBlocks) as ByteString);
      out.offset = tailOffset;
      out.string(bytes.slice(inBlocks) as ByteString);
    }
  }

  #writeDirectory(
    entries: DirectoryEntries,
    tailOffset: number,
    where: { readonly blocks: number; readonly blocksOffset: number },
  ): void {
    let group = 0;
    for (let start = 0; start < entries.names.length; group++) {
      const end = groupEnd(entries, start);
      this.#out.offset = group < where.blocks ? where.blocksOffset + group * blockSize : tailOffset;
      this.#writeGroup(entries, start, end);
      start = end;
    }
  }

  /** Some entries that share a block: their records, and then their names. */
  #writeGroup(entries: DirectoryEntries, start: number, end: number): void {
    const out = this.#out;
    let nameOffset = direntSize * (end - start);
    for (let i = start; i < end; i++) {
      const target = element(entries.targets, i);
      const name = element(entries.names, i);
      out.safe64(this.#nid(target.number));
      out.u16(nameOffset);
      out.u8(direntTypes.indexOf(target.mode & typeMask) + 1);
      out.u8(0);
      nameOffset += name.length;
    }
    for (const name of entries.names.slice(start, end)) out.string(name);
  }
}

/** Where the group that starts at entry `start` ends: when the next entry would not fit in the block. */
function groupEnd(entries: DirectoryEntries, start: number): number {
  let used = 0;
  let end = start;
  for (; end < entries.names.length; end++) {
    used += direntSize + element(entries.names, end).length;
    if (used > blockSize) break;
  }
  return end;
}

function layoutOf(external: ExternalContent | undefined, tail: number): number {
  if (external !== undefined) return dataLayout.chunkBased;
  return tail > 0 ? dataLayout.flatInline : dataLayout.flatPlain;
}

/** The field that says where the data is, or which device it is. For chunks half of it says how large they are. */
function locate(inode: ImageInode, firstBlock: number): number {
  const external = externalOf(inode);
  if (external !== undefined) return ((firstBlock & ~0xffff) | (chunkBits(external.sizeBytes) - blockBits)) >>> 0;
  return firstBlock === 0 && "rdev" in inode.source ? inode.source.rdev : firstBlock;
}

function writeCompact(
  out: ByteWriter,
  inode: ImageInode,
  numbers: { readonly size: number; readonly location: number },
): void {
  const { uid, gid } = inode.source.stat;
  out.u16(nlinkOf(inode));
  out.u32(numbers.size);
  out.u32(0);
  out.u32(numbers.location);
  out.u32(inode.number);
  out.u16(uid);
  out.u16(gid);
  out.u32(0);
}

function writeExtended(
  out: ByteWriter,
  inode: ImageInode,
  numbers: { readonly size: bigint; readonly location: number },
): void {
  const { uid, gid, mtimeSeconds, mtimeNanoseconds } = inode.source.stat;
  out.u16(0);
  out.big64(numbers.size);
  out.u32(numbers.location);
  out.u32(inode.number);
  out.u32(uid);
  out.u32(gid);
  out.big64(mtimeSeconds);
  out.u32(mtimeNanoseconds);
  out.u32(nlinkOf(inode));
  out.offset += 16;
}
