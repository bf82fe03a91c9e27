import { type ByteString, toBytes } from "./byte-string.ts";

/** The bytes of `text` in base64 of the standard alphabet, with padding; undefined when it is anything else. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  const isWhole = text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
  return isWhole ? toBytes(atob(text) as ByteString) : undefined;
}
