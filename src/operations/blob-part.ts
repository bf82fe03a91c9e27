import { OsdeployError } from "../core/errors.ts";
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

/**
 * Whether an error says that a source does not give what it was asked for, and not that a link broke: of that kind are answers
 * to requests for parts by those who give none.
 */
export function isRefusal(error: unknown): error is OsdeployError {
  if (!(error instanceof OsdeployError && error.code === "network")) return false;
  const { status } = error.facts;
  return typeof status === "number" && status >= 400 && status < 500 && status !== 429;
}
