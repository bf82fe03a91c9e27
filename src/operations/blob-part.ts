import type { FetchRange } from "../core/oci/plan-partial-pull.ts";
import type { ImageSource, ResolvedLayer } from "../image-source/image-source.ts";

/** A part of a layer's blob, in memory; whoever asks for it limits its size. */
export async function readBlobPart(source: ImageSource, layer: ResolvedLayer, range: FetchRange): Promise<Uint8Array> {
  const bytes = new Uint8Array(range.lengthBytes);
  let at = 0;
  for await (const piece of source.readBlobRange(layer, range)) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
