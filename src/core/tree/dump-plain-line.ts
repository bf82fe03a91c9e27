import { bitsOfDigits } from "../bytes/hex-words.ts";
import { columnCount, FileRows, modeColumn, rdevColumn, secondsColumn, sizeColumn } from "./file-rows.ts";

const space = 0x20;
const dash = 0x2d;
const dot = 0x2e;
const slash = 0x2f;
const zero = 0x30;
const backslash = 0x5c;

/** Digits that fit a double without loss. */
const exactDigits = 15;
const maxU32 = 0xffffffff;
const maxTargetLength = 4095;

/** What {@link PlainLines.read} found. */
export const plainKind = { none: 0, file: 1, symlink: 2 } as const;

/**
 * Lines of a dump as nearly all are, each read in one pass into a row of numbers, with nothing escaped: regular files whose
 * bytes are in the object with their digest, and symlinks. Whatever is the least bit unusual is left to the reader of any
 * line, also to say what is wrong.
 */
export class PlainLines {
  /** The row after the last one is what was read. */
  readonly rows: FileRows;
  /** Of the path in the last line: its last slash and its end. */
  lastSlash = 0;
  pathEnd = 0;
  /** Where a symlink's target starts. */
  payloadStart = 0;
  /** Where the digest's field ends: there a space is, and after it the xattrs, or the line ends. */
  fieldsEnd = 0;
  readonly #text: Uint8Array;
  readonly #view: DataView;
  readonly #numbers: Float64Array;
  readonly #digits: number;

  constructor(text: Uint8Array, digestDigits: number) {
    // Each line of a file is longer than its digest as a path and as itself.
    this.rows = new FileRows(Math.ceil(text.length / (2 * digestDigits)) + 1, digestDigits / 8);
    this.#text = text;
    this.#view = new DataView(text.buffer, text.byteOffset, text.byteLength);
    this.#numbers = this.rows.numbers;
    this.#digits = digestDigits;
  }

  /** Reads the line from `start` to `end` of the text, and says whether it is such a line, and of what. */
  read(start: number, end: number): number {
    const text = this.#text;
    this.#readPath(text, start);
    if (text[start] !== slash || text[this.pathEnd] !== space) return plainKind.none;
    const payload = this.#readNumbers(text, this.pathEnd + 1);
    if (payload < 0) return plainKind.none;
    this.payloadStart = payload;
    const row = this.rows.count * columnCount;
    const type = (this.#numbers[row + modeColumn] as number) >> 12;
    if (type === 0o12) return this.#readTarget(text, payload, end) ? plainKind.symlink : plainKind.none;
    const isFile = type === 0o10 && this.#numbers[row + sizeColumn] !== 0;
    return isFile && this.#readObject(text, payload, end) ? plainKind.file : plainKind.none;
  }

  /** Reads the fields of a symlink, which has no content and no digest. */
  #readTarget(text: Uint8Array, start: number, end: number): boolean {
    let at = start;
    while (at < end && text[at] !== space && text[at] !== backslash) at += 1;
    this.fieldsEnd = at + 4;
    const isAlone = text[at] === space && text[at + 1] === dash && text[at + 2] === space && text[at + 3] === dash;
    const length = at - start;
    const isTarget = length > 0 && length <= maxTargetLength && !(length === 1 && text[start] === dash);
    return isTarget && isAlone && this.#endsFields(text, end);
  }

  /** Reads the fields of a file: the object's path, no content, and the digest. */
  #readObject(text: Uint8Array, path: number, end: number): boolean {
    const digest = path + this.#digits + 4;
    this.fieldsEnd = digest + this.#digits;
    if (!this.#endsFields(text, end)) return false;
    if (text[digest - 3] !== space || text[digest - 2] !== dash || text[digest - 1] !== space) return false;
    return this.#readDigest(text, path, digest);
  }

  #endsFields(text: Uint8Array, end: number): boolean {
    return this.fieldsEnd === end || (this.fieldsEnd < end && text[this.fieldsEnd] === space);
  }

  /** What ends the path is a space, or else no plain line goes on after it. */
  #readPath(text: Uint8Array, start: number): void {
    let at = start;
    for (let byte = text[at]; byte !== undefined && byte > space && byte !== backslash; byte = text[++at]) {
      if (byte === slash) this.lastSlash = at;
    }
    this.pathEnd = at;
  }

  /** Reads the numbers from `start` on, and returns where what follows them starts; -1 where they are not plain. */
  #readNumbers(text: Uint8Array, start: number): number {
    const numbers = this.#numbers;
    const row = this.rows.count * columnCount;
    let at = start;
    for (let column = 0; column < columnCount; column++) {
      const first = at;
      const base = column === modeColumn ? 8 : 10;
      let value = 0;
      for (; ; at++) {
        const digit = (text[at] as number) - zero;
        // Past the end of the text that is no number.
        if (!(digit >= 0 && digit < base)) break;
        value = value * base + digit;
      }
      if (at === first || at - first > exactDigits) return -1;
      if (text[at] !== (column === secondsColumn ? dot : space)) return -1;
      if (value > maxU32 && column !== sizeColumn && column !== secondsColumn) return -1;
      numbers[row + column] = value;
      at += 1;
    }
    return numbers[row + rdevColumn] === 0 ? at : -1;
  }

  /** Reads the digest, which is lower-case hex, and says whether the path is that of its object. */
  #readDigest(text: Uint8Array, path: number, digest: number): boolean {
    const view = this.#view;
    const { digests, digestWords, count } = this.rows;
    // The path has a slash after two digits.
    if (text[path] !== text[digest] || text[path + 1] !== text[digest + 1] || text[path + 2] !== slash) return false;
    if (text[path + 3] !== text[digest + 2] || text[path + 4] !== text[digest + 3]) return false;
    for (let word = 0; word < digestWords; word++) {
      const at = digest + 8 * word;
      const first = view.getInt32(at, true);
      const second = view.getInt32(at + 4, true);
      const samePlace = path + 8 * word + 1;
      if (word > 0 && first !== view.getInt32(samePlace, true)) return false;
      if (second !== view.getInt32(samePlace + 4, true)) return false;
      const low = bitsOfDigits(first);
      const high = bitsOfDigits(second);
      if (low < 0 || high < 0) return false;
      digests[count * digestWords + word] = low | (high << 16);
    }
    return true;
  }
}
