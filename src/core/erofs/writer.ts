import type { ByteString } from "../bytes/byte-string.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import type { FileTree, Inode, Stat } from "../tree/inode.ts";
import {
  aclFlag,
  blockBits,
  blockSize,
  compactInodeSize,
  composefsHeaderVersion,
  composefsMagic,
  dataLayout,
  direntSize,
  direntTypes,
  erofsMagic,
  extendedInodeSize,
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
  type InodeList,
  listInodes,
  nlinkOf,
  outsideOf,
} from "./inode-list.ts";
import { type Layout, layOut } from "./layout.ts";
import { writeXattrArea, type XattrSet } from "./xattr-set.ts";

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
    return (this.#layout.inodeOffsets[number] as number) / slotSize;
  }

  #writeInode(number: number): void {
    const { sources, xattrSets, xattrs } = this.#list;
    const { inodeOffsets, extended, blockCounts, tailSizes, inodesEnd } = this.#layout;
    const out = this.#out;
    const source = sources[number] as Inode;
    const set = xattrSets[number] as XattrSet;
    const outside = outsideOf(source);
    const blocks = blockCounts[number] as number;
    const tail = tailSizes[number] as number;
    const at = inodeOffsets[number] as number;
    const isExtended = extended[number] === 1;
    this.#writeHead(at, number, source);
    if (isExtended) this.#writeExtended(at, number, source.stat);
    else this.#writeCompact(at, number, source.stat);
    out.offset = at + (isExtended ? extendedInodeSize : compactInodeSize);
    if (outside === undefined) {
      writeXattrArea(out, set, inodesEnd % blockSize);
      this.#writeData(number, source);
    } else {
      xattrs.overlay.writeArea(out, { set, content: outside }, inodesEnd % blockSize);
      // A map of chunks that point nowhere: the bytes lie outside. Where the map found no place, a whole block of it.
      if (blocks > 0) out.offset = this.#nextBlock * blockSize;
      out.fill(0xff, blocks > 0 ? blockSize : tail);
    }
    this.#nextBlock += blocks;
  }

  /** Writes what is at the same place in both forms of inode. */
  #writeHead(at: number, number: number, source: Inode): void {
    const { extended, xattrSizes, blockCounts, tailSizes, chunkBits } = this.#layout;
    const { view } = this.#out;
    const outside = outsideOf(source);
    const xattrSize = xattrSizes[number] as number;
    const tail = tailSizes[number] as number;
    const firstBlock = (blockCounts[number] as number) > 0 ? this.#nextBlock : 0;
    const plain = tail > 0 ? dataLayout.flatInline : dataLayout.flatPlain;
    const layout = outside === undefined ? plain : dataLayout.chunkBased;
    view.setUint16(at, (layout << 1) | (extended[number] as number), true);
    view.setUint16(at + 2, xattrSize === 0 ? 0 : (xattrSize - xattrHeaderSize) / 4 + 1, true);
    view.setUint16(at + 4, this.#list.modes[number] as number, true);
    // The size of a compact inode takes 32 bits; the field after it is zero.
    if (outside === undefined) {
      const size = this.#sizeOf(number, source);
      view.setUint32(at + 8, size, true);
      view.setUint32(at + 12, Math.floor(size / 2 ** 32), true);
      // Where the data is, or which device it is.
      view.setUint32(at + 16, firstBlock === 0 && "rdev" in source ? source.rdev : firstBlock, true);
    } else {
      view.setBigUint64(at + 8, outside.sizeBytes, true);
      // Half of it says how large the chunks are.
      view.setUint32(at + 16, (firstBlock & ~0xffff) | ((chunkBits[number] as number) - blockBits), true);
    }
    view.setUint32(at + 20, number, true);
  }

  #writeCompact(at: number, number: number, { uid, gid }: Stat): void {
    const { view } = this.#out;
    view.setUint16(at + 6, nlinkOf(this.#list, number), true);
    view.setUint16(at + 24, uid, true);
    view.setUint16(at + 26, gid, true);
  }

  #writeExtended(at: number, number: number, { uid, gid, mtimeSeconds, mtimeNanoseconds }: Stat): void {
    const { view } = this.#out;
    view.setUint32(at + 24, uid, true);
    view.setUint32(at + 28, gid, true);
    view.setBigInt64(at + 32, mtimeSeconds, true);
    view.setUint32(at + 40, mtimeNanoseconds, true);
    view.setUint32(at + 44, nlinkOf(this.#list, number), true);
  }

  #sizeOf(number: number, source: Inode): number {
    if (source.kind !== "directory") return dataOf(source).length;
    const { blockCounts, tailSizes } = this.#layout;
    return (blockCounts[number] as number) * blockSize + (tailSizes[number] as number);
  }

  /** Whole blocks first, where they are, and then the tail behind the inode. */
  #writeData(number: number, source: Inode): void {
    const out = this.#out;
    const blocks = this.#layout.blockCounts[number] as number;
    const tailOffset = out.offset;
    const blocksOffset = this.#nextBlock * blockSize;
    const entries = this.#list.entries.get(number);
    if (entries !== undefined) this.#writeDirectory(entries, tailOffset, { blocks, blocksOffset });
    else {
      const bytes = dataOf(source);
      const inBlocks = bytes.length - (this.#layout.tailSizes[number] as number);
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
  #writeGroup({ names, targets }: DirectoryEntries, start: number, end: number): void {
    const out = this.#out;
    const { view } = out;
    const { modes } = this.#list;
    let at = out.offset;
    let nameOffset = direntSize * (end - start);
    for (let i = start; i < end; i++) {
      const target = targets[i] as number;
      const nid = this.#nid(target);
      view.setUint32(at, nid, true);
      view.setUint32(at + 4, Math.floor(nid / 2 ** 32), true);
      view.setUint16(at + 8, nameOffset, true);
      view.setUint8(at + 10, direntTypes.indexOf((modes[target] as number) & typeMask) + 1);
      nameOffset += (names[i] as ByteString).length;
      at += direntSize;
    }
    out.offset = at;
    for (let i = start; i < end; i++) out.string(names[i] as ByteString);
  }
}

/** Where the group that starts at entry `start` ends: when the next entry would not fit in the block. */
function groupEnd(entries: DirectoryEntries, start: number): number {
  let used = 0;
  let end = start;
  for (; end < entries.names.length; end++) {
    used += direntSize + (entries.names[end] as ByteString).length;
    if (used > blockSize) break;
  }
  return end;
}
