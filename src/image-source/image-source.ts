import type { ConfigDigest, DiffId, ManifestDigest } from "../core/digest/oci-digest.ts";
import type { BundleDocument } from "../core/oci/bundle-document.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import type { ImageConfig } from "../core/oci/image-config.ts";
import type { LayerDescriptor } from "../core/oci/manifest.ts";
import type { Platform } from "../core/oci/platform.ts";
import type { ImageReference } from "../core/oci/reference.ts";
import type { RegistryName } from "../core/oci/registry-name.ts";
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
 * The registry that an image was found in, for what belongs to an image without being part of it: signatures, referrers.
 *
 * Policies and identities are about the logical name; documents are where the physical one leads, which may be a mirror.
 */
export interface ResolvedRegistry {
  /** What was asked for, in full. */
  readonly logical: RegistryName;
  /** Who delivered the manifest: after mirrors and renaming. */
  readonly physical: RegistryName;
  /** The shortest time that it took to begin an answer so far; undefined where that is not known. */
  readonly latencyMs: number | undefined;
  /**
   * The manifest or index with this tag or digest, its digest measured and compared; undefined when there is none.
   *
   * @throws OsdeployError as {@link ImageSource}: to be missing is no failure, not to know is one.
   */
  readManifest(name: string): Promise<ResolvedDocument<ManifestDigest> | undefined>;
  /** The index of referrers, as its pages were sent; undefined where the registry keeps none but perhaps under a tag. */
  readReferrers(digest: ManifestDigest): Promise<readonly Uint8Array[] | undefined>;
  /** A small blob, compared with its digest. @throws OsdeployError `limit-exceeded`, `not-found`, `digest-mismatch`. */
  readBlob(blob: Descriptor, limitBytes: number): Promise<Uint8Array>;
}

/** A part of a blob. */
export interface BlobRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** An index as it was found, for who wants all that it names. */
export interface ResolvedIndex {
  readonly document: ResolvedDocument<ManifestDigest>;
  /** A manifest or index that it names, compared with its descriptor. @throws OsdeployError as an {@link ImageSource}. */
  readDocument(descriptor: Descriptor): Promise<Uint8Array>;
}

/**
 * A place that images come from: a registry, an OCI layout, an archive.
 *
 * Errors are `OsdeployError`s: `not-found`, `unauthorized`, `network`, `digest-mismatch`, `bad-format`, `unsupported`,
 * `limit-exceeded`. One contract suite runs against all of them.
 */
export interface ImageSource {
  /** The canonical reference, as in `docker://quay.io/os:latest`; for a short name after it was resolved. */
  describe(): string;
  /** What {@link describe} says, as a value: what an image is to be remembered by. */
  reference(): ImageReference;
  /** Finds the image for `platform` and reads its documents; the digest of each was compared with its bytes. */
  resolve(platform: Platform): Promise<ResolvedImage>;
  /** The index that the reference names; undefined where it names one image. In place of {@link resolve}. */
  resolveIndex(): Promise<ResolvedIndex | undefined>;
  /** The registry that delivered the image that was resolved; undefined for images that come from files. */
  registry(): ResolvedRegistry | undefined;
  /** What the image that was resolved leaves out, where it was bundled for hosts that have the rest; else undefined. */
  bundle(): BundleDocument | undefined;
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
  /**
   * Exactly the bytes of `range`, a part of the blob: for those who know from elsewhere what the part has to measure to.
   * A piece is valid until the next one is asked for.
   * Broken connections are taken up again, as in {@link openBlob}.
   *
   * @throws OsdeployError `unsupported` when the server answers with the whole blob, which is then not read; `bad-format`
   * when the blob does not reach so far.
   */
  readBlobRange(blob: Descriptor, range: BlobRange): AsyncIterable<Uint8Array>;
  /** Ends connections and closes files. */
  close(): Promise<void>;
}
