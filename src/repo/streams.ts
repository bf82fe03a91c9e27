import { fromText, toText } from "../core/bytes/byte-string.ts";
import { joinBytes } from "../core/bytes/join-bytes.ts";
import { BlobHasher } from "../core/digest/blob-hasher.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import {
  type BlobDigest,
  type ConfigDigest,
  type DiffId,
  type ManifestDigest,
  splitDigest,
} from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { readLayerEntries } from "../core/splitstream/layer-entries.ts";
import { readSplitstream, type Splitstream } from "../core/splitstream/splitstream-reader.ts";
import type { LayerEntry } from "../core/tree/layer.ts";
import { childPath } from "../linux/path.ts";
import { readLinkIfExists } from "./name-link.ts";
import { readObject } from "./read-object.ts";
import type { Repo } from "./repo.ts";
import { linkedObject, streamsPath } from "./repo-paths.ts";
import { unpackZstd } from "./zstd-frames.ts";

/** What a document's stream keeps: its bytes, and what it names. */
export interface StoredDocument {
  readonly bytes: Uint8Array;
  /** Other streams and root images, for example `sha256:…` for a layer or {@link rootImageRefs}. */
  readonly refs: ReadonlyMap<string, ObjectId>;
}

/** The names under which a config's stream names its root images of layout 1, and of layout 2. */
export const rootImageRefs = {
  1: { raw: "composefs.image.v1", boot: "composefs.image.boot.v1" },
  2: { raw: "composefs.image", boot: "composefs.image.boot" },
} as const;

/** The content id of a layer. */
export function layerStreamName(diffId: DiffId): string {
  return `oci-layer-${diffId}`;
}

/** The content id of a config. */
export function configStreamName(digest: ConfigDigest): string {
  return `oci-config-${digest}`;
}

/** The content id of a manifest. */
export function manifestStreamName(digest: ManifestDigest): string {
  return `oci-manifest-${digest}`;
}

/** The content id of any other blob, for example a signature. */
export function blobStreamName(digest: BlobDigest): string {
  return `oci-blob-${digest}`;
}

/**
 * The splitstream that `streams/NAME` leads to; undefined where there is no such name. A name is there only when all that
 * the stream refers to was durable before, so a layer that is there need not be fetched.
 */
export function findStream(repo: Repo, name: string): ObjectId | undefined {
  const link = readLinkIfExists(repo.files, childPath(streamsPath(repo.path), fromText(name)));
  return link === undefined ? undefined : linkedObject(link);
}

/** A layer of a million files makes a splitstream of some 300 MB before it is compressed. */
export const streamLimitBytes = 1024 * 1024 * 1024;
/** OCI registries limit manifests to 4 MiB; configs have no limit, and the history in them grows. */
const documentLimitBytes = 32 * 1024 * 1024;

/**
 * Reads the splitstream under `name`.
 *
 * @throws OsdeployError `not-found` when there is no such name; `damaged`.
 */
export function readStream(repo: Repo, name: string): Splitstream {
  const id = findStream(repo, name);
  if (id !== undefined) return readSplitstreamObject(repo, id);
  throw new OsdeployError("not-found", `Cannot read stream "${name}": repo "${toText(repo.path)}" does not have it`, {
    facts: { stream: name },
  });
}

/** Reads the splitstream in the object `id`. @throws OsdeployError `not-found`, `damaged`. */
export function readSplitstreamObject(repo: Repo, id: ObjectId): Splitstream {
  return parseSplitstream(repo, id, readObject(repo, id, streamLimitBytes));
}

/** Reads the splitstream `id` whose bytes are at hand, in a repo or staged for it. @throws OsdeployError `damaged`. */
export function parseSplitstream(repo: Repo, id: ObjectId, bytes: Uint8Array): Splitstream {
  const stream = readSplitstream(bytes, { decompress: unpackZstd });
  if (stream.algorithm === repo.algorithm) return stream;
  const state = `it names objects by ${stream.algorithm}, the repo by ${repo.algorithm}`;
  throw new OsdeployError("damaged", `Cannot read splitstream ${id}: ${state}`, { facts: { object: id } });
}

/**
 * The entries of a layer, in the order of its tar. No content of files is read.
 *
 * @throws OsdeployError `not-found` when the repo does not have the layer; `damaged`.
 */
export function readLayer(repo: Repo, diffId: DiffId): readonly LayerEntry[] {
  return readLayerEntries(readStream(repo, layerStreamName(diffId)));
}

/** The manifest `digest` as it was fetched. @throws OsdeployError `not-found`, `damaged`. */
export function readManifest(repo: Repo, digest: ManifestDigest): StoredDocument {
  return readDocument(repo, manifestStreamName(digest), digest);
}

/** The config `digest` as it was fetched. @throws OsdeployError `not-found`, `damaged`. */
export function readConfig(repo: Repo, digest: ConfigDigest): StoredDocument {
  return readDocument(repo, configStreamName(digest), digest);
}

/** The blob `digest` as it was fetched. @throws OsdeployError `not-found`, `damaged`. */
export function readBlob(repo: Repo, digest: BlobDigest): StoredDocument {
  return readDocument(repo, blobStreamName(digest), digest);
}

function readDocument(repo: Repo, name: string, digest: BlobDigest): StoredDocument {
  const stream = readStream(repo, name);
  const bytes = assemble(repo, stream);
  const hasher = new BlobHasher(splitDigest(digest).algorithm);
  hasher.update(bytes);
  const measured = hasher.measured();
  if (measured === digest) return { bytes, refs: stream.namedRefs };
  throw new OsdeployError("damaged", `Cannot use stream "${name}": its bytes measure to ${measured}; run fsck`, {
    facts: { stream: name, measured },
  });
}

/** The bytes that a splitstream stands for. */
function assemble(repo: Repo, stream: Splitstream): Uint8Array {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for (const record of stream.records()) {
    const piece = record.kind === "inline" ? record.bytes : readObject(repo, record.id, documentLimitBytes);
    sizeBytes += piece.length;
    if (sizeBytes > documentLimitBytes) {
      throw new OsdeployError("limit-exceeded", `Cannot read a document of more than ${documentLimitBytes} bytes`);
    }
    pieces.push(piece);
  }
  return joinBytes(pieces);
}
