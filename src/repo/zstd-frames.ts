import { joinBytes } from "../core/bytes/join-bytes.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Decoder } from "../linux/decoder.ts";
import { openDecoder } from "../linux/open-decoder.ts";

const pieceBytes = 1024 * 1024;

/**
 * Unpacks all zstd frames in `bytes`.
 *
 * @throws OsdeployError `limit-exceeded` when that gives more than `limitBytes`; `damaged` when they are no whole frames.
 */
export function unpackZstd(bytes: Uint8Array, limitBytes: number): Uint8Array {
  const decoder = openDecoder("zstd");
  try {
    return joinBytes(decodeAll(decoder, bytes, limitBytes));
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "bad-format")) throw error;
    throw new OsdeployError("damaged", `Cannot unpack a section: ${error.message}`, { cause: error });
  } finally {
    decoder.close();
  }
}

function decodeAll(decoder: Decoder, bytes: Uint8Array, limitBytes: number): readonly Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let consumed = 0;
  let produced = 0;
  for (;;) {
    const piece = new Uint8Array(Math.min(pieceBytes, Math.max(4096, bytes.length * 4)));
    const step = decoder.decode(bytes.subarray(consumed), piece);
    consumed += step.consumed;
    produced += step.produced;
    if (produced > limitBytes) {
      throw new OsdeployError("limit-exceeded", `Cannot unpack a section: it has more than ${limitBytes} bytes`);
    }
    pieces.push(piece.subarray(0, step.produced));
    if (consumed === bytes.length && step.produced < piece.length) break;
  }
  decoder.finish();
  return pieces;
}
