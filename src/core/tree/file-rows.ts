import { hexOfWords } from "../bytes/hex-words.ts";
import type { RegularFile, Stat, Xattrs } from "./inode.ts";
import { ObjectContent } from "./object-content.ts";

/** The numbers of a row, in the order in which a line of a dump has them. */
export const sizeColumn = 0;
export const modeColumn = 1;
export const nlinkColumn = 2;
export const uidColumn = 3;
export const gidColumn = 4;
export const rdevColumn = 5;
export const secondsColumn = 6;
export const nanosecondsColumn = 7;
export const columnCount = 8;

/**
 * Regular files whose content is in the object with its digest, as rows of numbers: a tree of an operating system has tens
 * of thousands of them, and an object for each of their parts costs more to look after than the whole to read.
 */
export class FileRows {
  /** Of one file after the other; each is a whole number that a double holds exactly. */
  readonly numbers: Float64Array;
  /** Their digests, each {@link digestWords} long, whose bytes are in the words lowest first. */
  readonly digests: Uint32Array;
  readonly digestWords: number;
  /** How many there are. */
  count = 0;

  /** At most `capacity` files, whose digests have so many words. */
  constructor(capacity: number, digestWords: number) {
    this.numbers = new Float64Array(capacity * columnCount);
    this.digests = new Uint32Array(capacity * digestWords);
    this.digestWords = digestWords;
  }

  /** A number of a row; also of the one after the last, when it is filled in. */
  number(row: number, column: number): number {
    return this.numbers[row * columnCount + column] as number;
  }

  stat(row: number): Stat {
    return {
      permissions: this.number(row, modeColumn) & 0o7777,
      uid: this.number(row, uidColumn),
      gid: this.number(row, gidColumn),
      mtimeSeconds: BigInt(this.number(row, secondsColumn)),
      mtimeNanoseconds: this.number(row, nanosecondsColumn),
    };
  }

  /** Makes a file of the row after the last, which is filled in. */
  take(xattrs: Xattrs): FileRow {
    const row = this.count;
    this.count += 1;
    return new FileRow(this, row, xattrs);
  }
}

/**
 * A file that is a row. What it consists of is made when it is asked for, and not kept: `{ ...file }` has none of it, and
 * {@link asValue} has all.
 */
export class FileRow implements RegularFile {
  readonly kind = "regular";
  readonly xattrs: Xattrs;
  readonly rows: FileRows;
  readonly row: number;

  constructor(rows: FileRows, row: number, xattrs: Xattrs) {
    this.rows = rows;
    this.row = row;
    this.xattrs = xattrs;
  }

  get nlink(): number {
    return this.rows.number(this.row, nlinkColumn);
  }

  get stat(): Stat {
    return this.rows.stat(this.row);
  }

  get content(): ObjectContent {
    const { digests, digestWords } = this.rows;
    const at = this.row * digestWords;
    const digest = hexOfWords(digests.subarray(at, at + digestWords));
    return new ObjectContent(digest, BigInt(this.rows.number(this.row, sizeColumn)));
  }
}

/** The same file as a value like any other. */
export function asValue({ kind, stat, xattrs, nlink, content }: FileRow): RegularFile {
  return { kind, stat, xattrs, nlink, content };
}
