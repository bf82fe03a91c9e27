import { BlobHasher } from "../core/digest/blob-hasher.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { type BlobDigest, splitDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { SplitstreamWriter } from "../core/splitstream/splitstream-writer.ts";
import { compressZstd } from "../linux/zstd-encoder.ts";
import type { ObjectStaging } from "./object-staging.ts";
import type { StreamName } from "./publish.ts";

/** A blob that is kept as one object, with names for what belongs to it. */
export interface DocumentToStage {
  readonly kind: "config" | "manifest" | "blob";
  readonly digest: BlobDigest;
  readonly bytes: Uint8Array;
  /**
   * For a config one `sha256:…` for each diff id, in their order, and its root images; for a manifest `config:sha256:…`
   * and the same of its layers. The values are ids of splitstreams and root images.
   */
  readonly refs: ReadonlyMap<string, ObjectId>;
}

/**
 * Stages a config, manifest or other blob, and says which stream name it is to get: `oci-config-sha256:…`.
 *
 * @throws OsdeployError `digest-mismatch` when the bytes are not those of the digest.
 */
export function stageDocument(staging: ObjectStaging, document: DocumentToStage): StreamName {
  checkDigest(document);
  const writer = new SplitstreamWriter(staging.algorithm, document.kind);
  // One object even for a few bytes: that is how composefs-rs finds the document without reading the stream.
  writer.addObject(staging.add(document.bytes), BigInt(document.bytes.length));
  for (const [name, id] of document.refs) writer.addNamedRef(name, id);
  return { name: `oci-${document.kind}-${document.digest}`, id: staging.add(writer.finish(compressZstd)) };
}

function checkDigest({ kind, digest, bytes }: DocumentToStage): void {
  const hasher = new BlobHasher(splitDigest(digest).algorithm);
  hasher.update(bytes);
  const measured = hasher.measured();
  if (measured === digest) return;
  throw new OsdeployError("digest-mismatch", `Cannot use ${kind} ${digest}: its bytes measure to ${measured}`, {
    facts: { digest, measured, bytes: bytes.length },
  });
}
