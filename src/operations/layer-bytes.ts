import { BlobHasher } from "../core/digest/blob-hasher.ts";
import { type DiffId, splitDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { checkedBlob } from "../image-source/checked-blob.ts";
import type { ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import { openLayerDecoder } from "../linux/layer-decoder.ts";
import { readLayerTar } from "../repo/layer-tar.ts";
import type { Repo } from "../repo/repo.ts";
import { checkInterrupted, type System } from "./system.ts";

/** Bytes after which others get their turn: a few hundredths of a second. */
const turnBytes = 4 * 1024 * 1024;
const outputBytes = 256 * 1024;

/** Bytes of a layer, in pieces that are valid only until the next is asked for. */
export type LayerBytes = AsyncGenerator<Uint8Array>;

/**
 * The tar of a layer in the repo.
 *
 * @throws OsdeployError `damaged` after the last piece when they are not those of its diff id; what the repo throws.
 */
export async function* storedTar(repo: Repo, diffId: DiffId): LayerBytes {
  yield* checkedTar(readLayerTar(repo, diffId), diffId, (measured) => {
    const message = `Cannot use layer ${diffId}: what the repo has measures to ${measured}; run fsck`;
    return new OsdeployError("damaged", message, { facts: { layer: diffId, measured } });
  });
}

/**
 * The tar of a layer in a source. All of the blob is read, and compared with its digest.
 *
 * @throws OsdeployError `digest-mismatch` after the last piece when blob or tar are not those of the layer; `bad-format`.
 */
export async function* fetchedTar(
  source: ImageSource,
  layer: ResolvedLayer,
  advance: (bytes: number) => void,
): LayerBytes {
  const { diffId } = layer;
  yield* checkedTar(unpack(source, layer, advance), diffId, (measured) => {
    const message = `Cannot use layer ${layer.digest}: its tar measures to ${measured}, not to ${diffId} as the config says`;
    return new OsdeployError("digest-mismatch", message, { facts: { layer: layer.digest, measured } });
  });
}

async function* unpack(source: ImageSource, layer: ResolvedLayer, advance: (bytes: number) => void): LayerBytes {
  const decoder = openLayerDecoder(layer.compression);
  const output = new Uint8Array(outputBytes);
  let received = 0;
  try {
    for await (const piece of checkedBlob(layer, source.openBlob(layer))) {
      for (let at = 0, isFull = false; at < piece.length || isFull; ) {
        const { consumed, produced } = decoder.decode(piece.subarray(at), output);
        at += consumed;
        isFull = produced === output.length;
        if (produced > 0) yield output.subarray(0, produced);
      }
      received += piece.length;
      advance(received);
    }
    decoder.finish();
  } finally {
    decoder.close();
  }
}

async function* checkedTar(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  diffId: DiffId,
  mismatch: (measured: string) => OsdeployError,
): LayerBytes {
  const hasher = new BlobHasher(splitDigest(diffId).algorithm);
  for await (const piece of pieces) {
    hasher.update(piece);
    yield piece;
  }
  const measured = hasher.measured();
  if (measured !== diffId) throw mismatch(measured);
}

/** The same bytes; now and then others get their turn, and the user a chance to stop. */
export async function* inTurns(system: System, pieces: LayerBytes): LayerBytes {
  let sinceTurn = 0;
  for await (const piece of pieces) {
    yield piece;
    sinceTurn += piece.length;
    if (sinceTurn < turnBytes) continue;
    sinceTurn = 0;
    await new Promise<void>((resolve) => setImmediate(resolve));
    checkInterrupted(system.signal);
  }
}
