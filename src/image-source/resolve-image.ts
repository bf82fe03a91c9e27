import { BlobHasher } from "../core/digest/blob-hasher.ts";
import { type BlobDigest, type ManifestDigest, splitDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { chooseForPlatform, chooseTheImage, nothingForPlatform } from "../core/oci/choose-image.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { checkDocumentType } from "../core/oci/document-type.ts";
import { checkImagePlatform, pairLayers, parseImageConfig } from "../core/oci/image-config.ts";
import { type IndexEntry, parseOfferedImages } from "../core/oci/image-index.ts";
import { documentLimitBytes, parseDocument } from "../core/oci/json.ts";
import type { JsonPlace } from "../core/oci/json-place.ts";
import { parseManifest } from "../core/oci/manifest.ts";
import { type Platform, platformRank } from "../core/oci/platform.ts";
import type { ResolvedDocument, ResolvedImage } from "./image-source.ts";

/** Indexes below an index. Builders write one or two; more only lead in circles. */
const depthLimit = 4;
/** Documents read on the way to one image: an index can name a thousand others. */
const readLimit = 32;

/** How a source reads one of its documents and compares it with its descriptor. @throws OsdeployError as {@link checkDocument}. */
export type ReadDocument = (descriptor: Descriptor) => Promise<Uint8Array>;

/** What the search for an image needs to know everywhere. */
export interface Search {
  readonly readDocument: ReadDocument;
  readonly platform: Platform;
  /** The source, for errors. */
  readonly name: string;
}

/** A manifest or index with what it is, and what it was found by. */
interface TypedDocument extends ResolvedDocument<ManifestDigest> {
  readonly kind: "manifest" | "index";
  readonly place: JsonPlace;
}

interface Found {
  readonly index: TypedDocument | undefined;
  readonly manifest: TypedDocument;
}

/** Goes on from the lines of a layout's `index.json` that were chosen. @throws OsdeployError `usage` when these are several images. */
export async function resolveEntries(entries: readonly IndexEntry[], search: Search): Promise<ResolvedImage> {
  const way: Way = { reads: 0, seen: [...entries] };
  const chosen = chooseTheImage(entries, search.platform, search.name);
  return assemble(await searchEntries(chosen, search, { way, depth: 0 }), search, way);
}

/** Goes on from a manifest or index that was fetched by its name; `document.mediaType` is what it was announced as. */
export async function resolveDocument(
  document: ResolvedDocument<ManifestDigest>,
  search: Search,
): Promise<ResolvedImage> {
  const way: Way = { reads: 0, seen: [] };
  return assemble(await searchDocument(typed(document, search), search, { way, depth: 0 }), search, way);
}

/** `document` with the type that it has, if it is an index; `name` is the source, for errors. */
export function asIndex(
  document: ResolvedDocument<ManifestDigest>,
  name: string,
): ResolvedDocument<ManifestDigest> | undefined {
  const place = parseDocument(document.bytes, `manifest ${document.digest} of ${name}`);
  const { kind, mediaType } = checkDocumentType(place, document.mediaType);
  return kind === "index" ? { ...document, mediaType } : undefined;
}

/**
 * Compares the bytes of a document with what names them.
 *
 * @throws OsdeployError `bad-format` for another size, `digest-mismatch` for another digest.
 */
export function checkDocument(bytes: Uint8Array, descriptor: Pick<Descriptor, "digest" | "sizeBytes">): void {
  const { digest, sizeBytes } = descriptor;
  if (bytes.length !== sizeBytes) {
    throw new OsdeployError(
      "bad-format",
      `Cannot use ${digest}: it has ${bytes.length} bytes, not ${sizeBytes} as its descriptor says`,
    );
  }
  checkDigest(bytes, digest);
}

/** @throws OsdeployError `digest-mismatch`. */
export function checkDigest(bytes: Uint8Array, digest: BlobDigest): void {
  const hasher = new BlobHasher(splitDigest(digest).algorithm);
  hasher.update(bytes);
  const measured = hasher.measured();
  if (measured !== digest) {
    throw new OsdeployError("digest-mismatch", `Cannot use ${digest}: its bytes measure to ${measured}`, {
      facts: { expected: digest, measured },
    });
  }
}

/** What a search has come across so far. */
interface Way {
  reads: number;
  readonly seen: IndexEntry[];
}

interface At {
  readonly way: Way;
  readonly depth: number;
}

async function searchEntries(entries: readonly IndexEntry[], search: Search, at: At): Promise<Found | undefined> {
  for (const entry of entries) {
    at.way.reads++;
    if (at.way.reads > readLimit) throw tooMuch(search, `its indexes name more than ${readLimit} others`);
    const bytes = await readDocument(entry, search);
    const { mediaType, digest } = entry;
    const found = await searchDocument(typed({ mediaType, digest, bytes }, search), search, at);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function searchDocument(document: TypedDocument, search: Search, at: At): Promise<Found | undefined> {
  if (document.kind === "manifest") return { index: undefined, manifest: document };
  if (at.depth >= depthLimit) throw tooMuch(search, `its indexes lie more than ${depthLimit} deep in each other`);
  const { entries, unusable } = parseOfferedImages(document.place);
  at.way.seen.push(...entries);
  const chosen = chooseForPlatform(entries, search.platform);
  const found = await searchEntries(chosen, search, { way: at.way, depth: at.depth + 1 });
  const meant = unusable.find(({ platform }) => isFor(platform, search.platform));
  if (found === undefined && meant !== undefined) throw meant.reason;
  return found === undefined ? undefined : { index: document, manifest: found.manifest };
}

/** Whether what says this of itself may be meant for `wanted`. */
function isFor(platform: Platform | undefined, wanted: Platform): boolean {
  return platform === undefined || platformRank(platform, wanted) !== undefined;
}

async function assemble(found: Found | undefined, search: Search, way: Way): Promise<ResolvedImage> {
  if (found === undefined) throw nothingForPlatform(way.seen, search.platform, search.name);
  const { index, manifest } = found;
  const { config, layers, annotations } = parseManifest(manifest.place, manifest.mediaType);
  const bytes = await readDocument(config, search);
  const imageConfig = parseImageConfig(bytes, `config ${config.digest} of ${search.name}`);
  checkImagePlatform(imageConfig, search.platform, search.name);
  return {
    index: index === undefined ? undefined : plain(index),
    manifest: plain(manifest),
    config: { mediaType: config.mediaType, digest: config.digest, bytes },
    imageConfig,
    annotations,
    layers: pairLayers(layers, imageConfig, search.name),
  };
}

function readDocument(descriptor: Descriptor, search: Search): Promise<Uint8Array> {
  if (descriptor.sizeBytes > documentLimitBytes) {
    throw tooMuch(search, `${descriptor.digest} has ${descriptor.sizeBytes} bytes, ${documentLimitBytes} are allowed`);
  }
  return search.readDocument(descriptor);
}

function typed(document: ResolvedDocument<ManifestDigest>, search: Search): TypedDocument {
  const place = parseDocument(document.bytes, `manifest ${document.digest} of ${search.name}`);
  return { ...document, ...checkDocumentType(place, document.mediaType), place };
}

function plain(document: TypedDocument): ResolvedDocument<ManifestDigest> {
  return { mediaType: document.mediaType, digest: document.digest, bytes: document.bytes };
}

function tooMuch(search: Search, state: string): OsdeployError {
  return new OsdeployError("limit-exceeded", `Cannot use ${search.name}: ${state}`);
}
