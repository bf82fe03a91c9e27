import type { ObjectId } from "../core/digest/object-id.ts";
import type { DiffId } from "../core/digest/oci-digest.ts";
import { tellingDamage } from "./read-object.ts";
import type { Repo } from "./repo.ts";
import { objectPath } from "./repo-paths.ts";
import { layerStreamName, readStream } from "./streams.ts";

const pieceBytes = 256 * 1024;

/**
 * The tar of a layer as it was pulled, in pieces that are valid only until the next is asked for. Whoever reads it
 * compares all of it with the diff id: the objects are not measured one by one.
 *
 * @throws OsdeployError `not-found` when the repo does not have the layer; `damaged`.
 */
export function* readLayerTar(repo: Repo, diffId: DiffId): IterableIterator<Uint8Array> {
  const buffer = new Uint8Array(pieceBytes);
  for (const record of readStream(repo, layerStreamName(diffId)).records()) {
    if (record.kind === "object") {
      yield* readPieces(repo, record.id, buffer);
      continue;
    }
    for (let at = 0; at < record.bytes.length; at += pieceBytes) yield record.bytes.subarray(at, at + pieceBytes);
  }
}

function* readPieces(repo: Repo, id: ObjectId, buffer: Uint8Array): IterableIterator<Uint8Array> {
  const fd = repo.files.open(objectPath(repo.path, id), "read");
  try {
    for (;;) {
      const length = tellingDamage(repo, id, () => repo.files.read(fd, buffer, { offset: 0, length: buffer.length }));
      if (length === 0) return;
      yield buffer.subarray(0, length);
    }
  } finally {
    repo.files.close(fd);
  }
}
