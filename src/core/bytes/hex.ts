import { OsdeployError } from "../errors.ts";

const digits: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Lower-case hex of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += digits[byte];
  return hex;
}

/** Whether `text` is lower-case hex of exactly `byteLength` bytes. */
export function isHex(text: string, byteLength: number): boolean {
  return text.length === byteLength * 2 && /^[0-9a-f]*$/.test(text);
}

/**
 * The bytes that the lower-case hex `text` stands for.
 *
 * @throws OsdeployError `bad-format` when it is not lower-case hex of whole bytes.
 */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  if (text.length % 2 !== 0 || !isHex(text, text.length / 2)) {
    throw new OsdeployError("bad-format", `Cannot read "${text.slice(0, 140)}": it is not lower-case hex`);
  }
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
