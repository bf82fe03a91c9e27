/** Where the numbers of a line are in {@link PlainLine.numbers}. */
export const plainNumber = {
  size: 0,
  mode: 1,
  nlink: 2,
  uid: 3,
  gid: 4,
  rdev: 5,
  seconds: 6,
  nanoseconds: 7,
} as const;

const space = 0x20;
const dash = 0x2d;
const dot = 0x2e;
const slash = 0x2f;
const zero = 0x30;
const backslash = 0x5c;

/** Digits that fit a double without loss. */
const exactDigits = 15;
const maxU32 = 0xffffffff;

/**
 * A line of a dump as nearly all are, read in one pass: a regular file whose bytes are in the object with its digest,
 * with nothing escaped. Whatever is the least bit unusual is left to the reader of any line, also to say what is wrong.
 */
export class PlainLine {
  readonly numbers = new Float64Array(8);
  /** Of the path; its last slash and its end. */
  lastSlash = 0;
  pathEnd = 0;
  digestStart = 0;
  /** Where a space is, and after it the xattrs, or where the line ends. */
  digestEnd = 0;

  /** Reads the line from `start` to `end` of `text`, and says whether it is such a line. */
  read(
    text: Uint8Array,
    line: { readonly start: number; readonly end: number; readonly digestDigits: number },
  ): boolean {
    const { start, end, digestDigits } = line;
    this.#readPath(text, start, end);
    const payload = this.#readNumbers(text, this.pathEnd + 1);
    const digest = payload + digestDigits + 4;
    if (payload < 0 || digest + digestDigits > end) return false;
    this.digestStart = digest;
    this.digestEnd = digest + digestDigits;
    const { numbers } = this;
    return (
      text[start] === slash &&
      text[this.pathEnd] === space &&
      (numbers[plainNumber.mode] as number) >> 12 === 0o10 &&
      numbers[plainNumber.rdev] === 0 &&
      numbers[plainNumber.size] !== 0 &&
      text[digest - 2] === dash &&
      (this.digestEnd === end || text[this.digestEnd] === space) &&
      isPathOfDigest(text, payload, digest, digestDigits)
    );
  }

  /** An escape ends the path as well: then it is not a space that follows. */
  #readPath(text: Uint8Array, start: number, end: number): void {
    let at = start;
    for (; at < end; at++) {
      const byte = text[at];
      if (byte === slash) this.lastSlash = at;
      else if (byte === space || byte === backslash) break;
    }
    this.pathEnd = at;
  }

  /** Reads the numbers from `start` on, and returns where what follows them starts; -1 where one is not plain. */
  #readNumbers(text: Uint8Array, start: number): number {
    let at = start;
    for (let i = 0; i < 8; i++) {
      const first = at;
      const base = i === plainNumber.mode ? 8 : 10;
      let value = 0;
      for (let digit = digitAt(text, at); digit >= 0 && digit < base; digit = digitAt(text, ++at)) {
        value = value * base + digit;
      }
      const isLarge = value > maxU32 && i !== plainNumber.size && i !== plainNumber.seconds;
      const isEnded = text[at] === (i === plainNumber.seconds ? dot : space);
      if (at === first || at - first > exactDigits || isLarge || !isEnded) return -1;
      this.numbers[i] = value;
      at += 1;
    }
    return at;
  }
}

/** Negative or above 9 where there is none. */
function digitAt(text: Uint8Array, at: number): number {
  return at < text.length ? (text[at] as number) - zero : -1;
}

/** Whether the field at `path` is that of the object with the digest at `digest`, which is lower-case hex, and no more. */
function isPathOfDigest(text: Uint8Array, path: number, digest: number, digits: number): boolean {
  if (text[path + 2] !== slash || text[path + digits + 1] !== space || text[digest - 1] !== space) return false;
  for (let i = 0; i < digits; i++) {
    const byte = text[digest + i] as number;
    const isHex = (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66);
    if (!isHex || text[path + i + (i < 2 ? 0 : 1)] !== byte) return false;
  }
  return true;
}
