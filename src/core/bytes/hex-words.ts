import { fromBytes } from "./byte-string.ts";

/*
 * Hex four digits at a time: their four character codes side by side in 32 bits, first digit lowest, for the 16 bits that
 * they stand for, first byte lowest. The digits are lower-case. All four are treated with one operation where each has
 * eight bits of its own.
 */

const each = 0x01010101;

/** What the digits 0 to 9 have, and how much more a to f have, over their value. */
const zero = 0x30 * each;
const letterGap = 0x27;

/** The 16 bits that four digits stand for; -1 when they are not four digits. */
export function bitsOfDigits(digits: number): number {
  // Only letters have the bit 0x40; an `a` is then 1 and 9.
  const values = (digits & (15 * each)) + 9 * ((digits >>> 6) & each);
  // Whatever else comes out like a digit is more than 15, or not what that digit looks like.
  if ((values & (16 * each)) !== 0 || codes(values) !== digits) return -1;
  const bytes = ((values << 4) | (values >>> 8)) & 0x00ff00ff;
  return (bytes | (bytes >>> 8)) & 0xffff;
}

/** The four digits of 16 bits. */
export function digitsOfBits(bits: number): number {
  const bytes = (bits | (bits << 8)) & 0x00ff00ff;
  return codes(((bytes >>> 4) & 0x000f000f) | ((bytes & 0x000f000f) << 8));
}

/** The character codes of four digits with these values, which are 0 to 15. */
function codes(values: number): number {
  const areLetters = ((values + 6 * each) >>> 4) & each;
  return (values + zero + letterGap * areLetters) | 0;
}

/** The hex digits of some words, whose bytes are lowest first. */
export function hexOfWords(words: Uint32Array): string {
  const text = new Uint8Array(8 * words.length);
  const view = new DataView(text.buffer);
  for (const [i, word] of words.entries()) {
    view.setInt32(8 * i, digitsOfBits(word & 0xffff), true);
    view.setInt32(8 * i + 4, digitsOfBits(word >>> 16), true);
  }
  return fromBytes(text);
}
