import { OsdeployError } from "../errors.ts";
import type { ByteString } from "./byte-string.ts";

/** Turns character codes to text; hex digits are the same in every encoding. */
const decoder = new TextDecoder();

/** Lower-case hex of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  // Not put together from pieces: such a string drags its hundred pieces along for as long as nobody looks inside.
  const codes = new Uint8Array(bytes.length * 2);
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    codes[2 * i] = digitCode(byte >> 4);
    codes[2 * i + 1] = digitCode(byte & 15);
  }
  return decoder.decode(codes);
}

/** The character code of the hex digit with this value: 0 to 9 are 0x30 to 0x39, a to f are 0x61 to 0x66. */
function digitCode(value: number): number {
  return value < 10 ? value + 0x30 : value + 0x57;
}

/** Whether `text` is lower-case hex of exactly `byteLength` bytes. */
export function isHex(text: string, byteLength: number): boolean {
  if (text.length !== byteLength * 2) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x30 || code > 0x66 || (code > 0x39 && code < 0x61)) return false;
  }
  return true;
}

/** Whether `text` is the lower-case hex of `bytes`. */
export function isHexOf(text: string, bytes: ByteString): boolean {
  if (text.length !== bytes.length * 2) return false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes.charCodeAt(i);
    if (text.charCodeAt(2 * i) !== digitCode(byte >> 4)) return false;
    if (text.charCodeAt(2 * i + 1) !== digitCode(byte & 15)) return false;
  }
  return true;
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
  writeHex(text, bytes, 0);
  return bytes;
}

/** Writes the bytes of `text` to `target` from `offset` on. The caller has checked that it is lower-case hex. */
export function writeHex(text: string, target: Uint8Array, offset: number): void {
  for (let i = 0; i < text.length; i += 2) {
    target[offset + i / 2] = (nibble(text.charCodeAt(i)) << 4) | nibble(text.charCodeAt(i + 1));
  }
}

/** The value of a lower-case hex digit, from its character code: 0x30 to 0x39 or 0x61 to 0x66. */
function nibble(code: number): number {
  return (code & 15) + 9 * (code >> 6);
}
