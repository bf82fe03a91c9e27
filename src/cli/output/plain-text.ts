import type { ByteString } from "../../core/bytes/byte-string.ts";
import { fromText, toText } from "../../core/bytes/byte-string.ts";

/** C0 and C1 control characters and DEL: a name that an image chose could drive the terminal with them. */
const controls = /\p{Cc}/gu;

/** Those that turn the direction of what follows, or end a line: what stands beside the name would look like another. */
const reordering = /[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Text from outside, safe to print: control characters appear as `\xHH`, characters that reorder a line as `\u{HHHH}`. */
export function printable(text: string): string {
  return text
    .replace(controls, (char) => `\\x${hex(char).padStart(2, "0")}`)
    .replace(reordering, (char) => `\\u{${hex(char)}}`);
}

function hex(char: string): string {
  return char.charCodeAt(0).toString(16);
}

/** A name or path in bytes for people: as text where it is UTF-8, each other byte as `\xHH`. */
export function printableBytes(name: ByteString): string {
  const text = toText(name);
  if (fromText(text) === name) return printable(text);
  return name.replace(/[^\u0020-\u007e]/g, (char) => `\\x${hex(char).padStart(2, "0")}`);
}
