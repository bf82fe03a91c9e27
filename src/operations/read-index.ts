import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { isAttachment } from "../core/oci/choose-image.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { checkDocumentType } from "../core/oci/document-type.ts";
import { type IndexEntry, parseIndex } from "../core/oci/image-index.ts";
import { parseDocument } from "../core/oci/json.ts";
import { documentKind } from "../core/oci/media-type.ts";
import { formatPlatform } from "../core/oci/platform.ts";
import type { ResolvedDocument, ResolvedIndex } from "../image-source/image-source.ts";
import { blobsOf } from "./image-companions.ts";

/** An image that an index names. */
export interface IndexedImage {
  readonly manifestDigest: ManifestDigest;
  /** As the index has it; undefined where it says nothing. */
  readonly platform: string | undefined;
}

/** All that an index names, itself included. */
export interface WholeIndex {
  /** Of indexes in each other, the inner ones first. The last one is the index itself. */
  readonly documents: readonly ResolvedDocument<ManifestDigest>[];
  /** Configs and layers, each once. */
  readonly blobs: readonly Descriptor[];
  /** To be shown: what the index calls an attestation or the like is none. Never empty. */
  readonly images: readonly IndexedImage[];
}

/** Manifests and indexes of one index; those of the largest images in the field are some dozen. */
const documentLimit = 1000;
/** Of them together: all are held until they are written. */
const documentsLimitBytes = 64 * 1024 * 1024;
/** Indexes in an index. */
const depthLimit = 4;

/**
 * Reads all documents that an index names.
 *
 * @throws OsdeployError as an `ImageSource`; `not-found` for an index without images; `limit-exceeded`: the registry chooses
 * how much there is.
 */
export async function readWholeIndex(index: ResolvedIndex): Promise<WholeIndex> {
  const walk = new IndexWalk(index);
  await walk.addAll(index.document, 0);
  const { documents, blobs, images } = walk;
  if (images.size === 0) {
    throw new OsdeployError("not-found", `Cannot take all images of index ${index.document.digest}: it names none`);
  }
  return { documents: [...documents.values()], blobs: [...blobs.values()], images: [...images.values()] };
}

class IndexWalk {
  readonly documents = new Map<string, ResolvedDocument<ManifestDigest>>();
  readonly blobs = new Map<string, Descriptor>();
  readonly images = new Map<string, IndexedImage>();
  readonly #index: ResolvedIndex;
  #count = 0;
  #bytes = 0;

  constructor(index: ResolvedIndex) {
    this.#index = index;
  }

  async addAll(document: ResolvedDocument<ManifestDigest>, depth: number): Promise<void> {
    if (depth >= depthLimit) throw this.#tooMuch(`its indexes lie more than ${depthLimit} deep in each other`);
    const place = parseDocument(document.bytes, `index ${document.digest}`);
    for (const entry of parseIndex(place).entries) await this.#add(entry, depth);
    this.documents.set(document.digest, document);
  }

  async #add(entry: IndexEntry, depth: number): Promise<void> {
    const document = this.documents.get(entry.digest) ?? (await this.#read(entry, depth));
    // What is listed once as an attestation and once as an image is an image.
    if (documentKind(document.mediaType) === "index" || isAttachment(entry) || this.images.has(entry.digest)) return;
    const platform = entry.platform === undefined ? undefined : formatPlatform(entry.platform);
    this.images.set(entry.digest, { manifestDigest: entry.digest, platform });
  }

  async #read(entry: IndexEntry, depth: number): Promise<ResolvedDocument<ManifestDigest>> {
    this.#count++;
    this.#bytes += entry.sizeBytes;
    if (this.#count > documentLimit) throw this.#tooMuch(`it names more than ${documentLimit} manifests`);
    if (this.#bytes > documentsLimitBytes) {
      throw this.#tooMuch(`its manifests have more than ${documentsLimitBytes} bytes`);
    }
    const bytes = await this.#index.readDocument(entry);
    const place = parseDocument(bytes, `manifest ${entry.digest}`);
    const { kind, mediaType } = checkDocumentType(place, entry.mediaType);
    const document = { mediaType, digest: entry.digest, bytes };
    if (kind === "index") {
      await this.addAll(document, depth + 1);
      return document;
    }
    const blobs = blobsOf(place);
    if (blobs === undefined) throw this.#unknown(entry);
    for (const blob of blobs) this.blobs.set(blob.digest, blob);
    this.documents.set(entry.digest, document);
    return document;
  }

  #tooMuch(state: string): OsdeployError {
    return new OsdeployError(
      "limit-exceeded",
      `Cannot take all images of index ${this.#index.document.digest}: ${state}`,
    );
  }

  #unknown({ digest }: IndexEntry): OsdeployError {
    const text = `Cannot take all images of index ${this.#index.document.digest}: ${digest} does not tell its config and layers`;
    return new OsdeployError("unsupported", text);
  }
}
