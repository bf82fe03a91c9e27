import type { ByteString } from "../bytes/byte-string.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { typeMask } from "../tree/file-type.ts";
import type { FileTree, Inode } from "../tree/inode.ts";
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
  xattrHeaderSize,
} from "./format.ts";
import { type DirectoryEntries, dataOf, type ErofsVersion, type InodeList, listInodes } from "./inode-list.ts";
import {
  blocksWord,
  chunkBitsWord,
  deviceWord,
  extendedWord,
  gidWord,
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
import { type Layout, layOut } from "./layout.ts";
import { outsideOf } from "./outside-files.ts";
import type { XattrSet } from "./xattr-set.ts";

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
  readonly #words: Uint32Array;
  /** The block that the next inode with data gets. */
  #nextBlock: number;

  constructor(list: InodeList, layout: Layout) {
    this.#list = list;
    this.#layout = layout;
    this.#words = list.records.words;
    this.#out = new ByteWriter(layout.imageSize);
    this.#nextBlock = layout.dataStart / blockSize;
  }

  write(): Uint8Array<ArrayBuffer> {
    this.#writeHeader();
    this.#writeSuperblock();
    for (let number = 0; number < this.#list.records.count; number++) this.#writeInode(number);
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
    out.safe64(this.#list.records.count);
    out.u32(buildTime.secondsLow);
    out.u32(buildTime.secondsHigh);
    out.u32(buildTime.nanoseconds);
    out.u32(imageSize / blockSize);
    out.u32(0);
    out.u32(Math.floor(inodesEnd / blockSize));
    out.offset = superblockOffset + superblockSize;
  }

  #nid(number: number): number {
    return this.#words[number * recordWords + slotWord] as number;
  }

  #writeInode(number: number): void {
    const words = this.#words;
    const record = number * recordWords;
    const blocks = words[record + blocksWord] as number;
    const tail = words[record + tailWord] as number;
    const isExtended = words[record + extendedWord] === 1;
    const at = this.#nid(number) * slotSize;
    this.#writeHead(at, number);
    if (isExtended) this.#writeExtended(at, record);
    else this.#writeCompact(at, record);
    this.#out.offset = at + (isExtended ? extendedInodeSize : compactInodeSize);
    this.#writeXattrs(number);
    if (words[record + outsideWord] === outside.no) this.#writeData(number);
    else {
      // A map of chunks that point nowhere: the bytes lie outside. Where the map found no place, a whole block of it.
      if (blocks > 0) this.#out.offset = this.#nextBlock * blockSize;
      this.#out.fill(0xff, blocks > 0 ? blockSize : tail);
    }
    this.#nextBlock += blocks;
  }

  /** Writes what is at the same place in both forms of inode. */
  #writeHead(at: number, number: number): void {
    const words = this.#words;
    const { view } = this.#out;
    const record = number * recordWords;
    const isOutside = words[record + outsideWord] !== outside.no;
    const xattrSize = words[record + xattrSizeWord] as number;
    const firstBlock = (words[record + blocksWord] as number) > 0 ? this.#nextBlock : 0;
    const plain = (words[record + tailWord] as number) > 0 ? dataLayout.flatInline : dataLayout.flatPlain;
    const layout = isOutside ? dataLayout.chunkBased : plain;
    view.setUint16(at, (layout << 1) | (words[record + extendedWord] as number), true);
    view.setUint16(at + 2, xattrSize === 0 ? 0 : (xattrSize - xattrHeaderSize) / 4 + 1, true);
    view.setUint16(at + 4, words[record + modeWord] as number, true);
    // The size of a compact inode takes 32 bits; the field after it is zero.
    view.setUint32(at + 8, words[record + sizeWord] as number, true);
    view.setUint32(at + 12, words[record + sizeWord + 1] as number, true);
    // Where the data is, or which device it is; of a file outside, half of it says how large the chunks are.
    const place = firstBlock === 0 ? (words[record + deviceWord] as number) : firstBlock;
    const chunks = (firstBlock & ~0xffff) | ((words[record + chunkBitsWord] as number) - blockBits);
    view.setUint32(at + 16, isOutside ? chunks : place, true);
    view.setUint32(at + 20, number, true);
  }

  #writeCompact(at: number, record: number): void {
    const words = this.#words;
    const { view } = this.#out;
    view.setUint16(at + 6, words[record + nlinkWord] as number, true);
    view.setUint16(at + 24, words[record + uidWord] as number, true);
    view.setUint16(at + 26, words[record + gidWord] as number, true);
  }

  #writeExtended(at: number, record: number): void {
    const words = this.#words;
    const { view } = this.#out;
    view.setUint32(at + 24, words[record + uidWord] as number, true);
    view.setUint32(at + 28, words[record + gidWord] as number, true);
    view.setUint32(at + 32, words[record + secondsWord] as number, true);
    view.setUint32(at + 36, words[record + secondsWord + 1] as number, true);
    view.setUint32(at + 40, words[record + nanosecondsWord] as number, true);
    view.setUint32(at + 44, words[record + nlinkWord] as number, true);
  }

  #writeXattrs(number: number): void {
    const { xattrSets, xattrs, digests, sources } = this.#list;
    const { inodesEnd } = this.#layout;
    const set = xattrSets[number] as XattrSet;
    const where = this.#words[number * recordWords + outsideWord];
    if (where === outside.no) xattrs.writeArea(this.#out, set, inodesEnd % blockSize);
    else if (where === outside.byDigest && digests !== undefined) {
      xattrs.overlay.writeAreaByDigest(this.#out, { set, digests, number }, inodesEnd % blockSize);
    } else {
      const content = outsideOf(sources[number] as Inode);
      xattrs.overlay.writeArea(this.#out, { set, content }, inodesEnd % blockSize);
    }
  }

  /** Whole blocks first, where they are, and then the tail behind the inode. */
  #writeData(number: number): void {
    const out = this.#out;
    const record = number * recordWords;
    const blocks = this.#words[record + blocksWord] as number;
    const tailOffset = out.offset;
    const blocksOffset = this.#nextBlock * blockSize;
    const entries = this.#list.entries.get(number);
    if (entries !== undefined) this.#writeDirectory(entries, tailOffset, { blocks, blocksOffset });
    else {
      const bytes = dataOf(this.#list.sources[number] as Inode);
      const inBlocks = bytes.length - (this.#words[record + tailWord] as number);
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
    const words = this.#words;
    let at = out.offset;
    let nameOffset = direntSize * (end - start);
    for (let i = start; i < end; i++) {
      const target = targets[i] as number;
      const nid = this.#nid(target);
      view.setUint32(at, nid, true);
      view.setUint16(at + 8, nameOffset, true);
      view.setUint8(at + 10, direntTypes.indexOf((words[target * recordWords + modeWord] as number) & typeMask) + 1);
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
