/** A set of byte values: 256 flags. Not changed once it is part of a regex. */
export type ByteSet = Uint8Array;

/** The bytes of which `has` is true. */
export function byteSet(has: (byte: number) => boolean): ByteSet {
  return Uint8Array.from({ length: 256 }, (_, byte) => (has(byte) ? 1 : 0));
}

/** Exactly the bytes of the latin1-style string `bytes`. */
export function bytesOf(bytes: string): ByteSet {
  const set = new Uint8Array(256);
  for (let i = 0; i < bytes.length; i++) set[bytes.charCodeAt(i)] = 1;
  return set;
}

/** A policy has some 200 000 letters: each byte has one set for all of them. */
const singles: readonly ByteSet[] = Array.from({ length: 256 }, (_, byte) => bytesOf(String.fromCharCode(byte)));

/** Exactly the byte `letter`, a string of length 1. */
export function singleByte(letter: string): ByteSet {
  return singles[letter.charCodeAt(0)] as ByteSet;
}

/** All bytes but those of `set`. */
export function complement(set: ByteSet): ByteSet {
  return byteSet((byte) => set[byte] === 0);
}

/** `set` with both cases of each ASCII letter in it. */
export function ignoreCase(set: ByteSet): ByteSet {
  return byteSet((byte) => set[byte] === 1 || set[otherCase(byte)] === 1);
}

/** The other case of an ASCII letter; any other byte is itself. */
export function otherCase(byte: number): number {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a ? byte ^ 0x20 : byte;
}

const between = (from: string, to: string) => byteSet((byte) => byte >= from.charCodeAt(0) && byte <= to.charCodeAt(0));
const union = (...sets: ByteSet[]) => byteSet((byte) => sets.some((set) => set[byte] === 1));

const digit = between("0", "9");
const lower = between("a", "z");
const upper = between("A", "Z");
const alpha = union(lower, upper);
const alnum = union(alpha, digit);

/** Letters, digits and underscore: `\w`, and what `\b` looks at. */
export const wordBytes: ByteSet = union(alnum, bytesOf("_"));
const space = bytesOf("\t\n\v\f\r ");
const graph = between("!", "~");

/** The named classes of POSIX, in the C locale. */
export const posixClasses: ReadonlyMap<string, ByteSet> = new Map([
  ["alnum", alnum],
  ["alpha", alpha],
  ["ascii", between("\0", "\x7f")],
  ["blank", bytesOf("\t ")],
  ["cntrl", byteSet((byte) => byte < 0x20 || byte === 0x7f)],
  ["digit", digit],
  ["graph", graph],
  ["lower", lower],
  ["print", between(" ", "~")],
  ["punct", byteSet((byte) => graph[byte] === 1 && alnum[byte] === 0)],
  ["space", space],
  ["upper", upper],
  ["word", wordBytes],
  ["xdigit", union(digit, between("a", "f"), between("A", "F"))],
]);

/** The classes that a backslash and a letter stand for. */
export const letterClasses: ReadonlyMap<string, ByteSet> = new Map([
  ["d", digit],
  ["D", complement(digit)],
  ["s", space],
  ["S", complement(space)],
  ["w", wordBytes],
  ["W", complement(wordBytes)],
]);
