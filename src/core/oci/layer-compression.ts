import { unlessFailing } from "../errors.ts";
import { blockSize, readHeader } from "../tar/tar-header.ts";
import type { Compression } from "./media-type.ts";

/** So many bytes of a layer tell always. */
export const tellingBytes = blockSize;

const magics: readonly { readonly bytes: readonly number[]; readonly compression: Compression }[] = [
  { bytes: [0x1f, 0x8b, 0x08], compression: "gzip" },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], compression: "zstd" },
];

/**
 * How a layer that begins with `start` is compressed, whatever its media type promised: there are builders that compress in
 * another way than they say, and all other tools look at the bytes. What neither begins like a compressed stream nor like a
 * tar is what was promised, so that its decoder says what is wrong. Undefined when more bytes have to be seen.
 *
 * Nothing depends on it but how the layer is unpacked: its diff id says whether that was right.
 */
export function compressionOf(start: Uint8Array, promised: Compression): Compression | undefined {
  const begun = magics.find(({ bytes }) => isEqualSoFar(start, bytes));
  if (begun !== undefined) return start.length < begun.bytes.length ? undefined : begun.compression;
  if (promised === "none" || isSkippableFrame(start, promised)) return promised;
  if (start.length < tellingBytes) return undefined;
  return isTarBlock(start) ? "none" : promised;
}

function isEqualSoFar(start: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, at) => at >= start.length || start[at] === byte);
}

/** zstd may begin with frames that mean nothing: 50 to 5f, 2a, 4d, 18. @see https://www.rfc-editor.org/rfc/rfc8878#section-3.1.2 */
function isSkippableFrame(start: Uint8Array, promised: Compression): boolean {
  return promised === "zstd" && ((start[0] as number) & 0xf0) === 0x50 && start[1] === 0x2a && start[2] === 0x4d;
}

/** A header, or a block of zeros, which ends a tar. */
function isTarBlock(block: Uint8Array): boolean {
  return unlessFailing(() => ({ header: readHeader(block) })) !== undefined;
}
