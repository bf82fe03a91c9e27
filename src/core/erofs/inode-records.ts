import {
  columnCount,
  type FileRow,
  gidColumn,
  modeColumn,
  nanosecondsColumn,
  nlinkColumn,
  secondsColumn,
  sizeColumn,
  uidColumn,
} from "../tree/file-rows.ts";
import { fileType } from "../tree/file-type.ts";
import type { ExternalContent, Inode, Stat } from "../tree/inode.ts";

/** What a record says, by the place of its word in the record. A wide number has its high half in the next word. */
export const modeWord = 0;
export const nlinkWord = 1;
export const uidWord = 2;
export const gidWord = 3;
/** Wide, signed. */
export const secondsWord = 4;
export const nanosecondsWord = 6;
/** Wide. */
export const sizeWord = 7;
export const deviceWord = 9;
/** One of {@link outside}. */
export const outsideWord = 10;
/** 1 where the inode takes 64 bytes instead of 32. */
export const extendedWord = 11;
/** Where the inode is, in slots. */
export const slotWord = 12;
/** Bytes of the xattr area behind it. */
export const xattrSizeWord = 13;
/** Blocks of its own that it has after all inodes. */
export const blocksWord = 14;
/** Bytes of data right behind it and its xattrs. */
export const tailWord = 15;
/** Only of files outside: how many bits a chunk takes. */
export const chunkBitsWord = 16;
/** Words in a record. */
export const recordWords = 17;

/** Where an inode's bytes are. */
export const outside = {
  /** In the image, or it has none. */
  no: 0,
  /** In the object with its digest, and no other file says so: its digest is among those of the list. */
  byDigest: 1,
  /** Outside in any way. */
  other: 2,
} as const;

const two32 = 2 ** 32;
const maxBigU32 = 0xffffffffn;

/**
 * The numbers of all inodes, a record of {@link recordWords} for each: what the tree says of them, and then what the layout
 * does. Numbers side by side take no collector's time, and the code that reads them is small.
 */
export class InodeRecords {
  readonly words: Uint32Array;
  count = 0;

  /** Room for so many inodes; for 38 000 it is 2.6 MB, and growing would leave as much to the collector. */
  constructor(most: number) {
    this.words = new Uint32Array(most * recordWords);
  }

  /** Adds an inode, and returns its number. Of a directory neither size nor links are known yet. */
  add(source: Inode, type: number): number {
    const at = this.count * recordWords;
    const { words } = this;
    const { stat } = source;
    words[at + modeWord] = type | (stat.permissions & 0o7777);
    this.#setStat(at, stat);
    if (source.kind === "directory") return this.#added();
    words[at + nlinkWord] = source.nlink;
    if (source.kind === "symlink") words[at + sizeWord] = source.target.length;
    else if (source.kind !== "regular") {
      words[at + deviceWord] = source.rdev;
      // A device's claim of size counts, though it is never written. A whiteout is a regular file in the image.
      words[at + extendedWord] = type !== fileType.regular && source.claimedSizeBytes > maxBigU32 ? 1 : 0;
    } else if (source.content.kind === "inline") words[at + sizeWord] = source.content.bytes.length;
    else this.#setOutside(at, source.content);
    return this.#added();
  }

  /** The same of a file that is a row. */
  addRow({ rows, row }: FileRow): number {
    const at = this.count * recordWords;
    const { words } = this;
    const { numbers } = rows;
    const from = row * columnCount;
    const seconds = numbers[from + secondsColumn] as number;
    const size = numbers[from + sizeColumn] as number;
    words[at + modeWord] = fileType.regular | ((numbers[from + modeColumn] as number) & 0o7777);
    words[at + nlinkWord] = numbers[from + nlinkColumn] as number;
    words[at + uidWord] = numbers[from + uidColumn] as number;
    words[at + gidWord] = numbers[from + gidColumn] as number;
    words[at + secondsWord] = seconds;
    words[at + secondsWord + 1] = seconds / two32;
    words[at + nanosecondsWord] = numbers[from + nanosecondsColumn] as number;
    words[at + sizeWord] = size;
    words[at + sizeWord + 1] = size / two32;
    words[at + outsideWord] = outside.other;
    return this.#added();
  }

  #setStat(at: number, { uid, gid, mtimeSeconds, mtimeNanoseconds }: Stat): void {
    const { words } = this;
    words[at + uidWord] = uid;
    words[at + gidWord] = gid;
    this.#setWide(at + secondsWord, mtimeSeconds);
    words[at + nanosecondsWord] = mtimeNanoseconds;
  }

  #setOutside(at: number, content: ExternalContent): void {
    this.#setWide(at + sizeWord, content.sizeBytes);
    this.words[at + outsideWord] = outside.other;
  }

  #setWide(at: number, value: bigint): void {
    const number = Number(value);
    // Nearly all fit a double, and bigints are slow.
    const isExact = Number.isSafeInteger(number);
    this.words[at] = isExact ? number : Number(value & maxBigU32);
    this.words[at + 1] = isExact ? Math.floor(number / two32) : Number((value >> 32n) & maxBigU32);
  }

  #added(): number {
    this.count += 1;
    return this.count - 1;
  }
}
