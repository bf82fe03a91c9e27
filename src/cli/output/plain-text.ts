import type { ByteString } from "../../core/bytes/byte-string.ts";
import { fromText, toText } from "../../core/bytes/byte-string.ts";

/** C0 and C1 control characters and DEL: a name that an image chose could drive the terminal with them. */
const controls = /\p{Cc}/gu;

/** Text from outside, safe to print: control characters appear as `\xHH`. */
export function printable(text: string): string {
  return text.replace(controls, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** A name or path in bytes for people: as text where it is UTF-8, each other byte as `\xHH`. */
export function printableBytes(name: ByteString): string {
  const text = toText(name);
  if (fromText(text) === name) return printable(text);
  return name.replace(/[^\u0020-\u007e]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
