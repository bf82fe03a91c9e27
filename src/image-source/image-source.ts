import type { ConfigDigest, DiffId, ManifestDigest } from "../core/digest/oci-digest.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import type { ImageConfig } from "../core/oci/image-config.ts";
import type { LayerDescriptor } from "../core/oci/manifest.ts";
import type { Platform } from "../core/oci/platform.ts";
import type { Path } from "../linux/linux.ts";

/** A manifest, index or config, byte for byte as it was found, with the digest that those bytes measure to. */
export interface ResolvedDocument<Digest extends ManifestDigest | ConfigDigest> {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

/** A layer with both of its digests: of the bytes to be fetched, and of the tar inside. */
export interface ResolvedLayer extends LayerDescriptor {
  readonly diffId: DiffId;
}

/** An image that was chosen and whose documents were read, checked and found to agree. No layer was touched. */
export interface ResolvedImage {
  /** The image index the manifest was chosen from; of nested ones the outermost. */
  readonly index: ResolvedDocument<ManifestDigest> | undefined;
  readonly manifest: ResolvedDocument<ManifestDigest>;
  readonly config: ResolvedDocument<ConfigDigest>;
  /** What `config.bytes` says. */
  readonly imageConfig: ImageConfig;
  /** Of the manifest. */
  readonly annotations: ReadonlyMap<string, string>;
  /** Lowest first; never empty. The same blob can occur twice. */
  readonly layers: readonly ResolvedLayer[];
}

/** Where the bytes of a blob lie in a file of this machine. */
export interface BlobLocation {
  readonly path: Path;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * A place that images come from: a registry, an OCI layout, an archive.
 *
 * Errors are `OsdeployError`s: `not-found`, `unauthorized`, `network`, `digest-mismatch`, `bad-format`, `unsupported`,
 * `limit-exceeded`. One contract suite runs against all of them.
 */
export interface ImageSource {
  /** The canonical reference, as in `docker://quay.io/os:latest`. */
  describe(): string;
  /** Finds the image for `platform` and reads its documents; the digest of each was compared with its bytes. */
  resolve(platform: Platform): Promise<ResolvedImage>;
  /**
   * Where a worker may read the blob by itself; undefined when it has to be fetched. The length was compared with the
   * descriptor, the digest was not.
   */
  locateBlob(blob: Descriptor): BlobLocation | undefined;
  /**
   * The bytes of a blob from `offsetBytes` (default 0) to its end: exactly as many as the descriptor says, or an error.
   * Their digest is for the reader to check, who sees the bytes before the offset, too.
   */
  openBlob(blob: Descriptor, options?: { readonly offsetBytes: number }): AsyncIterable<Uint8Array>;
  /** Ends connections and closes files. */
  close(): Promise<void>;
}
