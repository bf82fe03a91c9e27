import { BlobHasher } from "../core/digest/blob-hasher.ts";
import { splitDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";

/**
 * The bytes of `pieces`, which have to be those of `blob`.
 *
 * @throws OsdeployError `digest-mismatch` after the last of them, when they are not.
 */
export async function* checkedBlob(
  blob: Pick<Descriptor, "digest" | "sizeBytes">,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hasher = new BlobHasher(splitDigest(blob.digest).algorithm);
  let sizeBytes = 0;
  for await (const piece of pieces) {
    hasher.update(piece);
    sizeBytes += piece.length;
    yield piece;
  }
  const measured = hasher.measured();
  if (measured === blob.digest && sizeBytes === blob.sizeBytes) return;
  throw new OsdeployError(
    "digest-mismatch",
    `Cannot use blob ${blob.digest}: its ${sizeBytes} bytes measure to ${measured}`,
    { facts: { blob: blob.digest, measured, bytes: sizeBytes } },
  );
}
