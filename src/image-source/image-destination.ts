import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import type { Platform } from "../core/oci/platform.ts";
import type { Path } from "../linux/linux.ts";
import type { ResolvedDocument } from "./image-source.ts";

/** What names an image that is complete but for that. */
export interface ImageToCommit {
  readonly manifest: ResolvedDocument<ManifestDigest>;
  readonly platform: Platform;
}

/** The registry that an image is written to, for what belongs beside it: signatures, and what else refers to it. */
export interface WritableRegistry {
  /** The manifest or index with this tag or digest, its digest measured; undefined when there is none. */
  readManifest(name: string): Promise<ResolvedDocument<ManifestDigest> | undefined>;
  /** Writes one under a tag or its digest. Says whether the registry lists it by itself with what it refers to. */
  putManifest(name: string, manifest: ResolvedDocument<ManifestDigest>): Promise<{ readonly isListed: boolean }>;
}

/** Makes the bytes of a blob; called again when they have to be sent again. */
export type OpenBlob = () => AsyncIterable<Uint8Array>;

/**
 * A place that images are written to: a registry, an OCI layout, an archive.
 *
 * Nothing is there under the image's name before {@link ImageDestination.commit}, which comes last. Errors are
 * `OsdeployError`s; one contract suite runs against all of them.
 */
export interface ImageDestination {
  /** The canonical reference. */
  describe(): string;
  /** A directory, made for this, for files that are to become blobs. It goes with {@link ImageDestination.close}. */
  readonly scratch: Path;
  /** How many blobs may be written side by side. */
  readonly lanes: number;
  /** Whether the blob is there already, so that it need not be sent. */
  hasBlob(blob: Descriptor): Promise<boolean>;
  /** Writes a blob. @throws OsdeployError `digest-mismatch` when its bytes are not those of the descriptor. */
  putBlob(blob: Descriptor, open: OpenBlob): Promise<void>;
  /** Writes a blob from a file in {@link ImageDestination.scratch}, whose bytes were measured, and takes the file. */
  putFile(blob: Descriptor, path: Path): Promise<void>;
  /** Writes the manifest and gives the image its name. Durable, where that is in our hands, when it returns. */
  commit(image: ImageToCommit): Promise<void>;
  /** Undefined for files: a layout or archive holds images, and nothing beside them. */
  registry(): WritableRegistry | undefined;
  /** Removes whatever was not committed, and ends connections. Calling it twice is fine. */
  close(): Promise<void>;
}
