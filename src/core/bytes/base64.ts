import { type ByteString, toBytes } from "./byte-string.ts";

/**
 * The bytes of `text` in base64 of the standard alphabet, with padding; undefined when it is anything else. Line breaks are
 * passed over: `base64` writes them, and Go's decoder, which most of such text is made for, does so, too.
 */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  const line = text.replaceAll(/[\r\n]/g, "");
  const isWhole = line.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(line);
  return isWhole ? toBytes(atob(line) as ByteString) : undefined;
}
