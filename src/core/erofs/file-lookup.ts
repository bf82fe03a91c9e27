import { ByteReader } from "../bytes/byte-reader.ts";
import type { ByteString } from "../bytes/byte-string.ts";
import { fileType, typeMask } from "../tree/file-type.ts";
import {
  blockSize,
  compactInodeSize,
  dataLayout,
  direntSize,
  extendedInodeSize,
  slotSize,
  xattrEntrySize,
  xattrHeaderSize,
} from "./format.ts";
import { readSuperblock } from "./superblock.ts";

/** A file whose bytes lie outside of its root image. */
export interface FoundFile {
  /** Where they lie, relative to the object directory (`ab/cdef…`). */
  readonly backingPath: ByteString;
  readonly sizeBytes: number;
}

/**
 * Finds files of a root image by path, straight in the image: their names are in order there.
 *
 * Nothing is read but what a path leads through, so to make one costs nothing, and what is wrong elsewhere in the image
 * goes unseen. For hints.
 */
export class FileLookup {
  readonly #reader: ByteReader;
  readonly #inodesOffset: number;
  readonly #sharedXattrsOffset: number;
  readonly #root: number;
  /** Files that follow each other are mostly in one directory; its inode, or undefined where it has none. */
  #lastParent: { readonly path: string; readonly inode: number | undefined };

  /** @throws OsdeployError `bad-format` or `unsupported` when `image` is no root image. */
  constructor(image: Uint8Array) {
    this.#reader = new ByteReader(image, "root image");
    const { inodesOffset, rootNid, sharedXattrsOffset } = readSuperblock(this.#reader);
    this.#inodesOffset = inodesOffset;
    this.#sharedXattrsOffset = sharedXattrsOffset;
    this.#root = inodesOffset + rootNid * slotSize;
    this.#lastParent = { path: "", inode: this.#root };
  }

  /**
   * The file at `path`, which has no leading slash; undefined when there is none, or its bytes lie nowhere outside.
   *
   * @throws OsdeployError `bad-format` when the image points outside of itself.
   */
  find(path: ByteString): FoundFile | undefined {
    const slash = path.lastIndexOf("/");
    const parent = path.slice(0, Math.max(slash, 0));
    if (parent !== this.#lastParent.path) this.#lastParent = { path: parent, inode: this.#directory(parent) };
    const directory = this.#lastParent.inode;
    const inode = directory === undefined ? undefined : this.#child(directory, path.slice(slash + 1));
    if (inode === undefined || this.#type(inode) !== fileType.regular) return undefined;
    const backingPath = this.#redirect(inode);
    return backingPath === undefined ? undefined : { backingPath, sizeBytes: this.#size(inode) };
  }

  /**
   * Where the inode of the directory at `path` is, in bytes; undefined when there is none.
   *
   * @throws OsdeployError `bad-format` when the image points outside of itself.
   */
  directoryOffset(path: ByteString): number | undefined {
    const inode = this.#directory(path);
    return inode !== undefined && this.#type(inode) === fileType.directory ? inode : undefined;
  }

  #directory(path: string): number | undefined {
    let inode: number | undefined = this.#root;
    for (const name of path.split("/")) {
      if (inode !== undefined && name !== "") inode = this.#child(inode, name);
    }
    return inode;
  }

  /** The inode of `name` in a directory; undefined as well when that is none. */
  #child(directory: number, name: string): number | undefined {
    if (this.#type(directory) !== fileType.directory) return undefined;
    const size = this.#size(directory);
    // A size that was made up would have the search go through blocks that nobody has.
    this.#reader.check(0, size);
    let block = 0;
    // The last one that starts with this name or an earlier one.
    for (let above = Math.ceil(size / blockSize); above - block > 1; ) {
      const middle = Math.floor((block + above) / 2);
      if (this.#compare(this.#blockAt(directory, size, middle), 0, name) <= 0) block = middle;
      else above = middle;
    }
    return this.#search(this.#blockAt(directory, size, block), name);
  }

  #blockAt(directory: number, size: number, block: number): Block {
    const isInline = this.#reader.u16(directory) >> 1 === dataLayout.flatInline;
    const isTail = isInline && (block + 1) * blockSize >= size;
    const location = (this.#reader.u32(directory + 16) + block) * blockSize;
    const start = isTail ? this.#xattrsEnd(directory) : location;
    const length = Math.min(blockSize, size - block * blockSize);
    return { start, length, count: Math.floor(this.#reader.u16(start + 8) / direntSize) };
  }

  #search(block: Block, name: string): number | undefined {
    let below = 0;
    for (let above = block.count; below < above; ) {
      const middle = Math.floor((below + above) / 2);
      const order = this.#compare(block, middle, name);
      if (order === 0) {
        const at = block.start + middle * direntSize;
        return this.#inodesOffset + (this.#reader.u32(at) + this.#reader.u32(at + 4) * 2 ** 32) * slotSize;
      }
      if (order < 0) below = middle + 1;
      else above = middle;
    }
    return undefined;
  }

  /** How entry `index` of a block sorts against `name`: negative when before. Names end at a NUL or the next one. */
  #compare({ start, length, count }: Block, index: number, name: string): number {
    const at = start + index * direntSize;
    const from = this.#reader.u16(at + 8);
    const end = index + 1 < count ? this.#reader.u16(at + direntSize + 8) : length;
    for (let i = 0; i < name.length; i++) {
      const byte = from + i < end ? this.#reader.u8(start + from + i) : 0;
      if (byte !== name.charCodeAt(i)) return byte - name.charCodeAt(i);
    }
    return from + name.length < end ? this.#reader.u8(start + from + name.length) : 0;
  }

  /** The value of `trusted.overlay.redirect`, among the inode's own xattrs or those that it shares. */
  #redirect(inode: number): ByteString | undefined {
    const start = this.#xattrsStart(inode);
    const end = this.#xattrsEnd(inode);
    const sharedCount = start === end ? 0 : this.#reader.u8(start + 4);
    const ownStart = start + xattrHeaderSize + 4 * sharedCount;
    for (let at = ownStart; at < end; at += this.#entrySize(at)) {
      const value = this.#redirectAt(at);
      if (value !== undefined) return value;
    }
    for (let at = start + xattrHeaderSize; at < ownStart && sharedCount > 0; at += 4) {
      const value = this.#redirectAt(this.#sharedXattrsOffset + 4 * this.#reader.u32(at));
      if (value !== undefined) return value;
    }
    return undefined;
  }

  #redirectAt(at: number): ByteString | undefined {
    const nameLength = this.#reader.u8(at);
    const valueLength = this.#reader.u16(at + 2);
    if (nameLength !== redirectName.length || this.#reader.u8(at + 1) !== trustedIndex || valueLength < 2)
      return undefined;
    if (this.#reader.string(at + xattrEntrySize, nameLength) !== redirectName) return undefined;
    // After its leading slash.
    return this.#reader.string(at + xattrEntrySize + nameLength + 1, valueLength - 1);
  }

  #entrySize(at: number): number {
    return (xattrEntrySize + this.#reader.u8(at) + this.#reader.u16(at + 2) + 3) & ~3;
  }

  #type(inode: number): number {
    return this.#reader.u16(inode + 4) & typeMask;
  }

  #isExtended(inode: number): boolean {
    return (this.#reader.u16(inode) & 1) === 1;
  }

  #size(inode: number): number {
    const low = this.#reader.u32(inode + 8);
    return this.#isExtended(inode) ? low + this.#reader.u32(inode + 12) * 2 ** 32 : low;
  }

  #xattrsStart(inode: number): number {
    return inode + (this.#isExtended(inode) ? extendedInodeSize : compactInodeSize);
  }

  #xattrsEnd(inode: number): number {
    const count = this.#reader.u16(inode + 2);
    return this.#xattrsStart(inode) + (count === 0 ? 0 : xattrHeaderSize + 4 * (count - 1));
  }
}

/** Entries that share a block: where it is, how many bytes of it are theirs, and how many they are. */
interface Block {
  readonly start: number;
  readonly length: number;
  readonly count: number;
}

/** `trusted.overlay.redirect` without its prefix, which is stored as a number. */
const redirectName = "overlay.redirect";
const trustedIndex = 4;
