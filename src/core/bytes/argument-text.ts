import { type ByteString, fromText } from "./byte-string.ts";
import { exactText } from "./utf8.ts";

/**
 * The bytes of a word of a command line as text that {@link argumentBytes} makes the same bytes of: UTF-8 as what it says, and each
 * other byte as the one of U+DC80 to U+DCFF that stands for it in Python (PEP 383). No UTF-8 says these.
 */
export function argumentText(bytes: Uint8Array): string {
  const text: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at] as number;
    const length = sequenceLength(lead);
    const character = exactText(bytes.subarray(at, at + length));
    text.push(character ?? String.fromCharCode(escapeBase + lead));
    at += character === undefined ? 1 : length;
  }
  return text.join("");
}

/** The bytes that a word of the command line had; see {@link argumentText}. */
export function argumentBytes(text: string): ByteString {
  const pieces = text.split(escapes);
  return pieces
    .map((piece, i) => (i % 2 === 0 ? fromText(piece) : String.fromCharCode(piece.charCodeAt(0) - escapeBase)))
    .join("") as ByteString;
}

/** Whether all bytes of a word are UTF-8. */
export function isPlainArgument(text: string): boolean {
  return !escapes.test(text);
}

/** What is added to a byte that is no UTF-8. */
const escapeBase = 0xdc00;

/** They are surrogates without their pair. */
const escapes = /([\udc80-\udcff])/u;

/** How many bytes the character has that begins so, if it is one. */
function sequenceLength(lead: number): number {
  if (lead < 0xc2) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}
