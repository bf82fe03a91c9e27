import type { StreamCompressor } from "../core/splitstream/splitstream-writer.ts";
import { openZstdEncoder } from "../linux/zstd-encoder.ts";

/** A {@link StreamCompressor} on libzstd. To be closed when it is not finished. */
export interface ZstdRecords extends StreamCompressor {
  /** Frees native memory. Calling it twice is fine. */
  close(): void;
}

/** @throws OsdeployError `unsupported` when libzstd is missing. */
export function openZstdRecords(): ZstdRecords {
  const encoder = openZstdEncoder();
  const pieces: Uint8Array[] = [];
  const keep = (piece: Uint8Array) => pieces.push(Buffer.from(piece));
  return {
    write: (bytes) => encoder.encode(bytes, keep),
    finish: () => {
      encoder.finish(keep);
      encoder.close();
      return Buffer.concat(pieces);
    },
    close: () => encoder.close(),
  };
}
