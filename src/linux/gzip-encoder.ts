import { Readable } from "node:stream";
import { createGzip } from "node:zlib";

/** The level that the gzip program takes when it is given none. */
const defaultGzipLevel = 6;

/**
 * `source` as one gzip member without name or time: equal bytes give equal bytes with the same zlib. The pieces of
 * `source` need to be valid only until the next is asked for.
 */
export async function* gzipPieces(
  source: AsyncIterable<Uint8Array>,
  level = defaultGzipLevel,
): AsyncGenerator<Uint8Array> {
  const gzip = createGzip({ level, chunkSize: 128 * 1024 });
  const input = Readable.from(copies(source));
  // An error of the source is the error of whoever reads what comes out.
  input.on("error", (error) => gzip.destroy(error));
  input.pipe(gzip);
  try {
    yield* gzip as AsyncIterable<Uint8Array>;
  } finally {
    input.destroy();
    gzip.destroy();
  }
}

/** A stream asks for the next piece while it still holds the one before. */
async function* copies(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of source) yield new Uint8Array(piece);
}
