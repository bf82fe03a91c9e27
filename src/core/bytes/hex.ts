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
  if (text.length !== byteLength * 2) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x30 || code > 0x66 || (code > 0x39 && code < 0x61)) return false;
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
