import type { ByteReader } from "../bytes/byte-reader.ts";
import { type ByteString, untilNul } from "../bytes/byte-string.ts";
import {
  blockSize,
  compactInodeSize,
  dataLayout,
  direntSize,
  extendedInodeSize,
  slotSize,
  xattrEntrySize,
  xattrHeaderSize,
  xattrPrefixes,
} from "./format.ts";
import { readSuperblock, type Superblock, unreadable, unsupported } from "./superblock.ts";

/** An inode as it is in an image. */
export interface RawInode {
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: bigint;
  readonly mtimeSeconds: bigint;
  readonly mtimeNanoseconds: number;
  /** One of {@link dataLayout}. */
  readonly layout: number;
  /** First block of the data, or the device number. */
  readonly location: number;
  readonly xattrsOffset: number;
  readonly xattrsSize: number;
}

/** A key and its value, as stored. */
export type RawXattr = readonly [ByteString, ByteString];

/** Some bytes of the image. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/**
 * Reads inodes, their xattrs and data from an image that anybody may have made.
 *
 * In an image of composefs each byte has one purpose. So all that is read may not be longer than the image: that is what
 * keeps one whose parts overlap from taking more time and memory than its length allows for.
 */
export class RawImage {
  readonly superblock: Superblock;
  readonly #reader: ByteReader;
  #bytesLeft: number;
  readonly #sharedXattrs = new Map<number, RawXattr>();
  /** Each key is one string, however many inodes have it: by the number of its prefix, and the rest. */
  readonly #keys = new Map<number, Map<ByteString, ByteString>>();

  constructor(reader: ByteReader) {
    this.superblock = readSuperblock(reader);
    this.#reader = reader;
    this.#bytesLeft = reader.length;
  }

  /** Checks that there are `length` bytes at `offset`, and uses them up. */
  #claim(offset: number, length: number): void {
    this.#reader.check(offset, length);
    this.#bytesLeft -= length;
    if (this.#bytesLeft < 0) throw unreadable("its parts overlap");
  }

  /** The inode with the number `nid`; to be read once. */
  inode(nid: number): RawInode {
    const at = this.superblock.inodesOffset + nid * slotSize;
    const format = this.#reader.u16(at);
    if (format > 0xf) throw unsupported(`inode ${nid} has format ${format}`);
    const layout = format >> 1;
    const size = (format & 1) === 1 ? extendedInodeSize : compactInodeSize;
    const count = this.#reader.u16(at + 2);
    const xattrsSize = count === 0 ? 0 : xattrHeaderSize + 4 * (count - 1);
    this.#claim(at, size + xattrsSize);
    const place = { layout, xattrsOffset: at + size, xattrsSize };
    return size === extendedInodeSize ? this.#extended(at, place) : this.#compact(at, place);
  }

  // Every field by its name: to take over those of another object costs more than all else that is done here.

  #compact(at: number, { layout, xattrsOffset, xattrsSize }: Place): RawInode {
    return {
      mode: this.#reader.u16(at + 4),
      nlink: this.#reader.u16(at + 6),
      uid: this.#reader.u16(at + 24),
      gid: this.#reader.u16(at + 26),
      sizeBytes: BigInt(this.#reader.u32(at + 8)),
      mtimeSeconds: this.superblock.buildTimeSeconds,
      mtimeNanoseconds: this.superblock.buildTimeNanoseconds,
      layout,
      location: this.#reader.u32(at + 16),
      xattrsOffset,
      xattrsSize,
    };
  }

  #extended(at: number, { layout, xattrsOffset, xattrsSize }: Place): RawInode {
    return {
      mode: this.#reader.u16(at + 4),
      nlink: this.#reader.u32(at + 44),
      uid: this.#reader.u32(at + 24),
      gid: this.#reader.u32(at + 28),
      sizeBytes: this.#reader.u64(at + 8),
      mtimeSeconds: this.#reader.i64(at + 32),
      mtimeNanoseconds: this.#reader.u32(at + 40),
      layout,
      location: this.#reader.u32(at + 16),
      xattrsOffset,
      xattrsSize,
    };
  }

  /** Where the data of an inode is that is not chunk-based: block by block, the last one maybe behind the inode. */
  *data(inode: RawInode): Generator<Extent> {
    const { layout, location } = inode;
    if (layout !== dataLayout.flatPlain && layout !== dataLayout.flatInline) {
      throw unsupported(`an inode has data layout ${layout}`);
    }
    const size = Number(inode.sizeBytes);
    const tailStart = layout === dataLayout.flatInline ? Math.ceil(size / blockSize - 1) * blockSize : size;
    for (let done = 0; done < size; done += blockSize) {
      const length = Math.min(blockSize, size - done);
      const isTail = done >= tailStart;
      const offset = isTail ? inode.xattrsOffset + inode.xattrsSize : location * blockSize + done;
      this.#claim(offset, length);
      yield { offset, length };
    }
  }

  /** All data of an inode, of which the caller knows that it is not much. */
  bytes(inode: RawInode): ByteString {
    let bytes = "";
    for (const { offset, length } of this.data(inode)) bytes += this.#reader.string(offset, length);
    return bytes as ByteString;
  }

  /** The names of a directory in stored order with the nids that they lead to; `.` and `..` are left out. */
  *names(inode: RawInode): Generator<{ readonly name: ByteString; readonly nid: number }> {
    for (const { offset, length } of this.data(inode)) yield* this.#group(offset, length);
  }

  *#group(start: number, length: number): Generator<{ readonly name: ByteString; readonly nid: number }> {
    const namesStart = this.#nameOffset(start, length, 0);
    if (namesStart === 0 || namesStart % direntSize !== 0)
      throw unreadable("a directory does not say how many names it has");
    const count = namesStart / direntSize;
    let nameStart = namesStart;
    for (let i = 0; i < count; i++) {
      const last = i + 1 === count;
      const nameEnd = last ? length : this.#nameOffset(start, length, i + 1);
      if (nameEnd < nameStart) throw unreadable("the names of a directory overlap");
      const stored = this.#reader.string(start + nameStart, nameEnd - nameStart);
      const name = last ? untilNul(stored) : stored;
      const at = start + i * direntSize;
      const nid = this.#reader.u32(at) + this.#reader.u32(at + 4) * 2 ** 32;
      if (name !== "." && name !== "..") yield { name, nid };
      nameStart = nameEnd;
    }
  }

  /** Where the name of entry `index` starts, in bytes from the start of the group. */
  #nameOffset(start: number, length: number, index: number): number {
    this.#reader.check(start, index * direntSize + direntSize);
    const offset = this.#reader.u16(start + index * direntSize + 8);
    if (index * direntSize + direntSize > length || offset > length)
      throw unreadable("a name is outside its directory");
    return offset;
  }

  /** The xattrs of an inode as composefs-info sees them: those behind the inode, then those it shares. */
  xattrs({ xattrsOffset, xattrsSize }: RawInode): readonly RawXattr[] {
    if (xattrsSize === 0) return noXattrs;
    const xattrs: RawXattr[] = [];
    const sharedCount = this.#reader.u8(xattrsOffset + 4);
    const end = xattrsOffset + xattrsSize;
    const inlineStart = xattrsOffset + xattrHeaderSize + 4 * sharedCount;
    if (inlineStart > end) throw unreadable("an inode shares more xattrs than it has room for");
    for (let at = inlineStart; at < end; ) {
      const size = this.#entrySize(at);
      if (at + size > end) throw unreadable("an xattr is outside its inode");
      xattrs.push(this.#entry(at));
      at += (size + 3) & ~3;
    }
    for (let i = 0; i < sharedCount; i++) {
      xattrs.push(this.#sharedXattr(this.#reader.u32(xattrsOffset + xattrHeaderSize + 4 * i)));
    }
    return xattrs;
  }

  #sharedXattr(index: number): RawXattr {
    const known = this.#sharedXattrs.get(index);
    if (known !== undefined) return known;
    const at = this.superblock.sharedXattrsOffset + 4 * index;
    this.#claim(at, this.#entrySize(at));
    const xattr = this.#entry(at);
    this.#sharedXattrs.set(index, xattr);
    return xattr;
  }

  #entrySize(at: number): number {
    return xattrEntrySize + this.#reader.u8(at) + this.#reader.u16(at + 2);
  }

  #entry(at: number): RawXattr {
    const nameLength = this.#reader.u8(at);
    const key = this.#key(this.#reader.u8(at + 1), this.#reader.string(at + xattrEntrySize, nameLength));
    return [key, this.#reader.string(at + xattrEntrySize + nameLength, this.#reader.u16(at + 2))];
  }

  #key(index: number, name: ByteString): ByteString {
    const known = this.#keys.get(index)?.get(name);
    if (known !== undefined) return known;
    const prefix = index === 0 ? "" : xattrPrefixes.find((candidate) => candidate.index === index)?.prefix;
    if (prefix === undefined) throw unsupported(`an xattr has the prefix number ${index}`);
    const key = (prefix + name) as ByteString;
    const keys = this.#keys.get(index) ?? new Map<ByteString, ByteString>();
    this.#keys.set(index, keys.set(name, key));
    return key;
  }
}

const noXattrs: readonly RawXattr[] = [];

type Place = Pick<RawInode, "layout" | "xattrsOffset" | "xattrsSize">;
