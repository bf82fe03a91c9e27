/**
 * A string of bytes: every char code is one byte, 0 to 255.
 *
 * File names, link targets, xattr keys and values are bytes, not text. Held like this they compare and sort as bytes
 * with `<`, serve as keys of a `Map`, and cost one byte of memory for each byte. Text becomes one only by
 * {@link fromText}, and is shown to people only by {@link toText}.
 */
export type ByteString = string & { readonly __bytes: true };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8");

/** Pieces longer than this would overflow the stack when spread as arguments. */
const spreadLimit = 4096;

/** The bytes of `text` in UTF-8. For plain ASCII that is the text itself. */
export function fromText(text: string): ByteString {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return fromBytes(encoder.encode(text));
  }
  return text as ByteString;
}

/** Ranges longer than this are worth a look whether they are ASCII, which the decoder copies much faster. */
const asciiThreshold = 32;
const asciiDecoder = new TextDecoder("utf-8", { ignoreBOM: true });
/** The bytes `start` to `end` of `bytes`, copied. O(length). */
export function fromBytes(bytes: Uint8Array, start = 0, end = bytes.length): ByteString {
  if (end - start > asciiThreshold && beginsLikeAscii(bytes, start)) {
    // What is no ASCII has fewer characters than bytes where it is UTF-8, and this sign in it where it is none.
    const text = asciiDecoder.decode(bytes.subarray(start, end));
    if (text.length === end - start && !text.includes("\ufffd")) return text as ByteString;
  }
  return fromAnyBytes(bytes, start, end);
}

/** Whether some of the first bytes look so; to find out with the rest that it is none takes as long as to copy them. */
function beginsLikeAscii(bytes: Uint8Array, start: number): boolean {
  for (let at = start; at < start + 16; at++) if ((bytes[at] as number) > 0x7f) return false;
  return true;
}

function fromAnyBytes(bytes: Uint8Array, start: number, end: number): ByteString {
  if (end - start <= spreadLimit) {
    return String.fromCharCode.apply(null, bytes.subarray(start, end) as unknown as number[]) as ByteString;
  }
  let result = "";
  for (let at = start; at < end; at += spreadLimit) result += fromAnyBytes(bytes, at, Math.min(end, at + spreadLimit));
  return result as ByteString;
}

/** `string` up to its first NUL: what a program in C takes for a name, a path, a target or a key. */
export function untilNul(string: ByteString): ByteString {
  const nul = string.indexOf("\0");
  return nul < 0 ? string : (string.slice(0, nul) as ByteString);
}

/** A fresh array that holds the bytes of `string`. */
export function toBytes(string: ByteString): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(string.length);
  writeBytes(string, bytes, 0);
  return bytes;
}

/** Writes the bytes of `string` to `target` from `offset` on; the caller has made the room. */
export function writeBytes(string: ByteString, target: Uint8Array, offset: number): void {
  for (let i = 0; i < string.length; i++) target[offset + i] = string.charCodeAt(i);
}

/** `string` as text for a person: bytes that are not UTF-8 appear as U+FFFD. Never to be used as a name again. */
export function toText(string: ByteString): string {
  for (let i = 0; i < string.length; i++) {
    if (string.charCodeAt(i) > 0x7f) return decoder.decode(toBytes(string));
  }
  return string;
}

/** The first 200 bytes of `string` in quotes, for a message about input that may be anything. */
export function inQuotes(string: ByteString): string {
  return JSON.stringify(toText(string.slice(0, 200) as ByteString));
}

/** Byte order: negative, zero or positive as `a` sorts before, with or after `b`; a proper prefix sorts first. */
export function compareBytes(a: ByteString, b: ByteString): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
