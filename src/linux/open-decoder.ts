import type { Compression } from "../core/oci/media-type.ts";
import type { Decoder } from "./decoder.ts";
import { openGzipDecoder } from "./gzip-decoder.ts";
import { openZstdDecoder } from "./zstd-decoder.ts";

/**
 * Opens a decoder. gzip may have several members and zeros behind them; zstd several frames and skippable ones.
 *
 * @throws OsdeployError `unsupported` when the native library for `compression` is missing; the text names the package.
 */
export function openDecoder(compression: Compression): Decoder {
  if (compression === "gzip") return openGzipDecoder();
  return compression === "zstd" ? openZstdDecoder() : openCopy();
}

/** For layers that are not compressed. */
function openCopy(): Decoder {
  return {
    decode: (input, output) => {
      const length = Math.min(input.length, output.length);
      output.set(length === input.length ? input : input.subarray(0, length));
      return { consumed: length, produced: length };
    },
    finish: () => undefined,
    close: () => undefined,
  };
}
