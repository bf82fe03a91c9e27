import { type ByteString, writeBytes } from "../../core/bytes/byte-string.ts";

/** Bytes in one piece: few enough to hold, enough that a write is worth its call. */
const pieceBytes = 64 * 1024;

/** Lines, each with its newline, as pieces to be written. Where no more lines can be had, those before it still come. */
export function* linePieces(lines: Iterable<ByteString>): Generator<Uint8Array> {
  let piece = new Uint8Array(pieceBytes);
  let used = 0;
  try {
    for (const line of lines) {
      if (used + line.length > piece.length) {
        if (used > 0) yield piece.subarray(0, used);
        piece = new Uint8Array(Math.max(pieceBytes, line.length));
        used = 0;
      }
      writeBytes(line, piece, used);
      used += line.length;
    }
  } catch (error) {
    if (used > 0) yield piece.subarray(0, used);
    throw error;
  }
  if (used > 0) yield piece.subarray(0, used);
}
