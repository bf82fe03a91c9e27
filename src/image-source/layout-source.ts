import { type ByteString, fromText, toText } from "../core/bytes/byte-string.ts";
import { type LayerDigest, parseManifestDigest, splitDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import {
  type BundleDocument,
  bundleAnnotation,
  findBundled,
  parseBundleDocument,
} from "../core/oci/bundle-document.ts";
import { chooseInLayout } from "../core/oci/choose-image.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { checkDocumentType } from "../core/oci/document-type.ts";
import { type IndexEntry, parseIndex } from "../core/oci/image-index.ts";
import { documentLimitBytes, parseDocument } from "../core/oci/json.ts";
import { member } from "../core/oci/json-place.ts";
import { ociIndexType } from "../core/oci/media-type.ts";
import type { Platform } from "../core/oci/platform.ts";
import {
  formatImageReference,
  type ImageReference,
  type LayoutReference,
  type OciArchiveReference,
} from "../core/oci/reference.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { indexArchive } from "./archive-index.ts";
import { checkRange, lendRange, partOf, readRange, streamRange, wholeFile } from "./file-range.ts";
import type {
  BlobLocation,
  BlobRange,
  ImageSource,
  ResolvedImage,
  ResolvedIndex,
  ResolvedLayer,
} from "./image-source.ts";
import { asIndex, checkDigest, checkDocument, resolveEntries } from "./resolve-image.ts";

/** Where a file of the layout lies, by its path in the layout; undefined where there is none. */
type Locate = (path: ByteString) => BlobLocation | undefined;

/**
 * Opens an OCI image layout in a directory (`oci:`) or in a tar (`oci-archive:`), which is indexed once and then read in
 * place.
 *
 * @throws OsdeployError of `files`, or `bad-format` for a broken archive.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
 */
export function openLayoutSource(reference: LayoutReference | OciArchiveReference, files: LinuxFiles): ImageSource {
  return new LayoutSource(reference, files, locator(reference, files));
}

function locator(reference: LayoutReference | OciArchiveReference, files: LinuxFiles): Locate {
  if (reference.kind === "oci-layout") {
    return (path) => wholeFile(files, `${reference.path}/${path}` as ByteString);
  }
  const archive = indexArchive(files, reference.path);
  return (path) => archive.locate(path);
}

class LayoutSource implements ImageSource {
  readonly #reference: LayoutReference | OciArchiveReference;
  readonly #files: LinuxFiles;
  readonly #locate: Locate;
  #bundle: BundleDocument | undefined;

  constructor(reference: LayoutReference | OciArchiveReference, files: LinuxFiles, locate: Locate) {
    this.#reference = reference;
    this.#files = files;
    this.#locate = locate;
  }

  describe(): string {
    return formatImageReference(this.#reference);
  }

  reference(): ImageReference {
    return this.#reference;
  }

  registry(): undefined {
    return undefined;
  }

  bundle(): BundleDocument | undefined {
    return this.#bundle;
  }

  async resolve(platform: Platform): Promise<ResolvedImage> {
    const name = this.describe();
    const entries = this.#entries(name);
    const readDocument = (descriptor: Descriptor) => this.#readDocument(descriptor);
    const image = await resolveEntries(entries, { readDocument, platform, name });
    this.#bundle = this.#readBundle(entries.find(({ digest }) => digest === image.manifest.digest));
    return image;
  }

  async resolveIndex(): Promise<ResolvedIndex | undefined> {
    const name = this.describe();
    const [entry, ...others] = this.#entries(name);
    if (entry === undefined || others.length > 0) {
      throw new OsdeployError("unsupported", `Cannot take all images of ${name}: no index joins them`);
    }
    const { mediaType, digest } = entry;
    const document = asIndex({ mediaType, digest, bytes: await this.#readDocument(entry) }, name);
    return document && { document, readDocument: (descriptor) => this.#readDocument(descriptor) };
  }

  locateBlob(blob: Pick<Descriptor, "digest" | "sizeBytes">): BlobLocation {
    const { algorithm, hex } = splitDigest(blob.digest);
    const location = this.#locate(fromText(`blobs/${algorithm}/${hex}`));
    if (location !== undefined) return checkLength(location, blob);
    const layer = blob.digest as LayerDigest;
    if (this.#bundle?.absent.has(layer) || this.#bundle?.parts.has(layer)) throw notInBundle(this.describe(), [layer]);
    throw new OsdeployError("not-found", `Cannot find blob ${blob.digest} in ${this.describe()}`);
  }

  openBlob(blob: Descriptor, options = { offsetBytes: 0 }): AsyncIterable<Uint8Array> {
    return streamRange(this.#files, this.locateBlob(blob), options.offsetBytes);
  }

  async *readBlobRange(blob: Descriptor, range: BlobRange): AsyncGenerator<Uint8Array> {
    const parts = this.#bundle?.parts.get(blob.digest as LayerDigest);
    if (parts === undefined) {
      yield* lendRange(this.#files, partOf(this.locateBlob(blob), blob, range));
      return;
    }
    checkRange(blob, range);
    const start = findBundled(parts.ranges, range);
    if (start === undefined) throw notInBundle(this.describe(), [blob.digest]);
    const { path, offsetBytes } = this.locateBlob(parts.blob);
    yield* lendRange(this.#files, { path, offsetBytes: offsetBytes + start, lengthBytes: range.lengthBytes });
  }

  async close(): Promise<void> {}

  #entries(name: string): readonly IndexEntry[] {
    this.#checkVersion(name);
    const place = parseDocument(this.#readFile("index.json"), `index.json of ${name}`);
    checkDocumentType(place, ociIndexType);
    return chooseInLayout(parseIndex(place), this.#reference.choice, name);
  }

  async #readDocument(descriptor: Descriptor): Promise<Uint8Array> {
    const bytes = readRange(this.#files, this.locateBlob(descriptor), documentLimitBytes);
    checkDocument(bytes, descriptor);
    return bytes;
  }

  #readBundle(entry: IndexEntry | undefined): BundleDocument | undefined {
    const named = entry?.annotations.get(bundleAnnotation);
    if (named === undefined) return undefined;
    const digest = parseManifestDigest(named);
    const { algorithm, hex } = splitDigest(digest);
    const bytes = this.#readFile(`blobs/${algorithm}/${hex}`);
    checkDigest(bytes, digest);
    return parseBundleDocument(bytes, this.describe());
  }

  /** Tools that leave the file out are forgiven; one that names another layout is believed. */
  #checkVersion(name: string): void {
    const location = this.#locate(fromText("oci-layout"));
    if (location === undefined) return;
    const place = parseDocument(readRange(this.#files, location, documentLimitBytes), `oci-layout of ${name}`);
    const version = member(place, "imageLayoutVersion").value;
    if (typeof version === "string" && /^1\.[0-9]+\.[0-9]+$/.test(version)) return;
    throw new OsdeployError("unsupported", `Cannot use ${name}: its layout version is not 1`);
  }

  #readFile(path: string): Uint8Array {
    const location = this.#locate(fromText(path));
    if (location === undefined) {
      const state = this.#whyEmpty() ?? `it has no ${path}`;
      throw new OsdeployError("not-found", `Cannot find an image in ${this.describe()}: ${state}`);
    }
    return readRange(this.#files, location, documentLimitBytes);
  }

  /** What was most likely meant, where the reference leads to something else than a layout. */
  #whyEmpty(): string | undefined {
    const { kind, path } = this.#reference;
    if (kind === "oci-archive") {
      const isDockers = this.#locate(fromText("manifest.json")) !== undefined;
      return isDockers ? `it is an archive of docker's; write docker-archive:${toText(path)}` : undefined;
    }
    if (this.#files.lstatIfExists(pathBelow(path, ".")) !== undefined) return undefined;
    const isThere = this.#files.lstatIfExists(path) !== undefined;
    return isThere
      ? `it is not a directory; write oci-archive:${toText(path)} for an archive`
      : "there is no such directory";
  }
}

/**
 * Refuses a bundle that was made for other machines before anything is done: it leaves out layers that are missing here.
 *
 * @throws OsdeployError `unsupported`.
 */
export function checkServed(source: ImageSource, missing: readonly ResolvedLayer[]): void {
  const absent = source.bundle()?.absent;
  const lacking = missing.flatMap(({ digest }) => (absent?.has(digest) ? [digest] : []));
  if (lacking.length > 0) throw notInBundle(source.describe(), lacking);
}

/**
 * Refuses a bundle without these parts of a layer that it has in parts, as the first of them would be when it is asked for.
 *
 * @throws OsdeployError `unsupported`.
 */
export function checkServedParts(
  source: Pick<ImageSource, "bundle" | "describe">,
  { digest }: Pick<ResolvedLayer, "digest">,
  ranges: readonly BlobRange[],
): void {
  const parts = source.bundle()?.parts.get(digest);
  const isServed = (range: BlobRange) => parts === undefined || findBundled(parts.ranges, range) !== undefined;
  if (!ranges.every(isServed)) throw notInBundle(source.describe(), [digest]);
}

/** Layers that are listed in the message. */
const listLimit = 4;

/**
 * The error that a bundle does not hold what this machine would need of these layers. It does not pass by itself, so nothing is
 * kept for another try.
 */
function notInBundle(bundle: string, layers: readonly string[]): OsdeployError {
  const more = layers.length > listLimit ? ` and ${layers.length - listLimit} more` : "";
  const listed = `${layers.length === 1 ? "layer" : "layers"} ${layers.slice(0, listLimit).join(", ")}${more}`;
  return new OsdeployError(
    "unsupported",
    `Cannot take ${listed} from ${bundle}: it was made for machines that have the rest, and this one has not`,
    { facts: { hint: 'Make one with this machine\'s "osdeploy status --json" among its --hosts, or without --hosts' } },
  );
}

/** @throws OsdeployError `bad-format` when the blob is longer or shorter than its descriptor says. */
function checkLength(location: BlobLocation, blob: Pick<Descriptor, "digest" | "sizeBytes">): BlobLocation {
  if (location.lengthBytes === blob.sizeBytes) return location;
  throw new OsdeployError(
    "bad-format",
    `Cannot use ${blob.digest}: it has ${location.lengthBytes} bytes, not ${blob.sizeBytes} as its descriptor says`,
  );
}
