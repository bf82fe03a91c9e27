import { bitsOfDigits } from "../bytes/hex-words.ts";
import type { FileRow } from "../tree/file-rows.ts";

/** How many digests are looked at in vain, for each that there is, before it is clear that somebody wants it to be slow. */
const maxProbes = 16;

/**
 * The digests of files outside, by inode number, and which of them are the same. For this they lie in a hash table whose
 * hash is their own beginning: digests are random already. Made up ones need not be, so {@link add} can give up.
 */
export class ObjectDigests {
  /** Each has {@link wordLength} words, whose bytes are lowest first. */
  readonly words: Uint32Array;
  readonly wordLength: number;
  /** Inode numbers and one more; 0 where nothing is. */
  readonly #slots: Uint32Array;
  #probesLeft: number;

  /** For digests of the inodes 0 to `count`, less one. */
  constructor(count: number, wordLength: number) {
    this.wordLength = wordLength;
    this.words = new Uint32Array(count * wordLength);
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * count)));
    this.#probesLeft = maxProbes * count;
  }

  /** Sets the digest of a file that is a row; false when it has another length. */
  setRow(number: number, { rows, row }: FileRow): boolean {
    const { wordLength, words } = this;
    if (rows.digestWords !== wordLength) return false;
    for (let i = 0; i < wordLength; i++) words[number * wordLength + i] = rows.digests[row * wordLength + i] as number;
    return true;
  }

  /** Sets another file's digest; false when it has another length, or is not lower-case hex. */
  set(number: number, digest: string): boolean {
    const { wordLength, words } = this;
    if (digest.length !== 8 * wordLength) return false;
    for (let i = 0; i < wordLength; i++) {
      const low = bitsOfDigits(fourCodes(digest, 8 * i));
      const high = bitsOfDigits(fourCodes(digest, 8 * i + 4));
      if (low < 0 || high < 0) return false;
      words[number * wordLength + i] = low | (high << 16);
    }
    return true;
  }

  /** The first inode with the digest of this one, which may be itself; undefined when it takes too long to find out. */
  add(number: number): number | undefined {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (this.words[number * this.wordLength] as number) & mask;
    for (let known = slots[slot] as number; known !== 0; known = slots[slot] as number) {
      if (this.#isSame(known - 1, number)) return known - 1;
      this.#probesLeft -= 1;
      if (this.#probesLeft < 0) return undefined;
      slot = (slot + 1) & mask;
    }
    slots[slot] = number + 1;
    return number;
  }

  #isSame(one: number, other: number): boolean {
    const { words, wordLength } = this;
    for (let i = 0; i < wordLength; i++) {
      if (words[one * wordLength + i] !== words[other * wordLength + i]) return false;
    }
    return true;
  }
}

/** Four characters of a string of bytes, side by side. */
function fourCodes(text: string, at: number): number {
  return (
    text.charCodeAt(at) |
    (text.charCodeAt(at + 1) << 8) |
    (text.charCodeAt(at + 2) << 16) |
    (text.charCodeAt(at + 3) << 24)
  );
}
