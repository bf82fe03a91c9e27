import { OsdeployError } from "../errors.ts";

/** One element of DER: its tag's first byte, and what is in it. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
}

/** Lengths take one byte, or one that says how many follow; more than three are more than any certificate. */
const mostLengthBytes = 3;

/**
 * The elements that `bytes` are made of, one after the other.
 *
 * @throws OsdeployError `bad-format` when they do not fill it exactly.
 * @see ITU-T X.690, 8.1
 */
export function derElements(bytes: Uint8Array): readonly DerElement[] {
  const elements: DerElement[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [tag = 0, first = 0xff] = bytes.subarray(at, at + 2);
    const more = first < 0x80 ? 0 : first - 0x80;
    const start = at + 2 + more;
    const length = more === 0 ? first : bytes.subarray(at + 2, start).reduce((sum, byte) => sum * 256 + byte, 0);
    if (more > mostLengthBytes || start + length > bytes.length) {
      throw new OsdeployError("bad-format", "Cannot read a certificate: an element in it does not end where it should");
    }
    elements.push({ tag, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return elements;
}
