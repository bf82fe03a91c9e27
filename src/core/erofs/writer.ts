import type { ByteString } from "../bytes/byte-string.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { element } from "../bytes/element.ts";
import type { FileTree } from "../tree/inode.ts";
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
import { type DirectoryEntries, dataOf, type ErofsVersion, type InodeList, listInodes } from "./inode-list.ts";
import { type Layout, layOut } from "./layout.ts";
import { writeXattrArea } from "./xattr-set.ts";

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
    for (let number = 0; number < this.#list.sources.length; number++) this.#writeInode(number);
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
    out.safe64(this.#list.sources.length);
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

  #writeInode(number: number): void {
    const { inodeOffsets, extended, xattrSizes, blockCounts, inodesEnd } = this.#layout;
    const { xattrSets, contents, xattrs, modes } = this.#list;
    const set = element(xattrSets, number);
    const external = contents[number];
    const isExtended = extended[number] === 1;
    const xattrSize = element(xattrSizes, number);
    const out = this.#out;
    out.offset = element(inodeOffsets, number);
    out.u16((this.#dataLayout(number) << 1) | (isExtended ? 1 : 0));
    out.u16(xattrSize === 0 ? 0 : (xattrSize - xattrHeaderSize) / 4 + 1);
    out.u16(element(modes, number));
    if (isExtended) this.#writeExtended(number);
    else this.#writeCompact(number);
    if (external === undefined) writeXattrArea(out, set, inodesEnd % blockSize);
    else xattrs.overlay.writeArea(out, { set, content: external }, inodesEnd % blockSize);
    this.#writeData(number);
    this.#nextBlock += element(blockCounts, number);
  }

  #dataLayout(number: number): number {
    if (this.#list.contents[number] !== undefined) return dataLayout.chunkBased;
    return element(this.#layout.tailSizes, number) > 0 ? dataLayout.flatInline : dataLayout.flatPlain;
  }

  #writeCompact(number: number): void {
    const out = this.#out;
    const { uid, gid } = element(this.#list.stats, number);
    out.u16(element(this.#list.nlinks, number));
    // The size takes 32 bits, or the inode would not be compact; so this is the size and the zero field after it.
    this.#writeSize(number);
    out.u32(this.#locate(number));
    out.u32(number);
    out.u16(uid);
    out.u16(gid);
    out.u32(0);
  }

  #writeExtended(number: number): void {
    const out = this.#out;
    const { uid, gid, mtimeSeconds, mtimeNanoseconds } = element(this.#list.stats, number);
    out.u16(0);
    this.#writeSize(number);
    out.u32(this.#locate(number));
    out.u32(number);
    out.u32(uid);
    out.u32(gid);
    out.big64(mtimeSeconds);
    out.u32(mtimeNanoseconds);
    out.u32(element(this.#list.nlinks, number));
    out.offset += 16;
  }

  #writeSize(number: number): void {
    const { sources, entries, contents } = this.#list;
    const { blockCounts, tailSizes } = this.#layout;
    const external = contents[number];
    if (external !== undefined) this.#out.big64(external.sizeBytes);
    else if (entries[number] === undefined) this.#out.safe64(dataOf(element(sources, number)).length);
    else this.#out.safe64(element(blockCounts, number) * blockSize + element(tailSizes, number));
  }

  /** The field that says where the data is, or which device it is. For chunks half of it says how large they are. */
  #locate(number: number): number {
    const { blockCounts, chunkBits } = this.#layout;
    const firstBlock = element(blockCounts, number) > 0 ? this.#nextBlock : 0;
    if (this.#list.contents[number] !== undefined) {
      return ((firstBlock & ~0xffff) | (element(chunkBits, number) - blockBits)) >>> 0;
    }
    const source = element(this.#list.sources, number);
    return firstBlock === 0 && "rdev" in source ? source.rdev : firstBlock;
  }

  /** Whole blocks first, where they are, and then the tail behind the inode. */
  #writeData(number: number): void {
    const out = this.#out;
    const blocks = element(this.#layout.blockCounts, number);
    const tail = element(this.#layout.tailSizes, number);
    const tailOffset = out.offset;
    const blocksOffset = this.#nextBlock * blockSize;
    const entries = this.#list.entries[number];
    if (entries !== undefined) this.#writeDirectory(entries, tailOffset, { blocks, blocksOffset });
    else if (this.#list.contents[number] !== undefined) {
      // A map of chunks that point nowhere: the bytes lie outside. Where the map found no place, a whole block of it.
      if (blocks > 0) out.offset = blocksOffset;
      out.fill(0xff, blocks > 0 ? blockSize : tail);
    } else {
      const bytes = dataOf(element(this.#list.sources, number));
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
      out.safe64(this.#nid(target));
      out.u16(nameOffset);
      out.u8(direntTypes.indexOf(element(this.#list.modes, target) & typeMask) + 1);
      out.u8(0);
      nameOffset += element(entries.names, i).length;
    }
    for (let i = start; i < end; i++) out.string(element(entries.names, i));
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
