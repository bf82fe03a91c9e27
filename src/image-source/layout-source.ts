import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import { splitDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { chooseInLayout } from "../core/oci/choose-image.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { checkDocumentType } from "../core/oci/document-type.ts";
import { parseIndex } from "../core/oci/image-index.ts";
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
import { indexArchive } from "./archive-index.ts";
import { partOf, readRange, streamRange, wholeFile } from "./file-range.ts";
import type { BlobLocation, BlobRange, ImageSource, ResolvedImage } from "./image-source.ts";
import { resolveEntries } from "./resolve-image.ts";

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

  async resolve(platform: Platform): Promise<ResolvedImage> {
    const name = this.describe();
    this.#checkVersion(name);
    const place = parseDocument(this.#readFile("index.json"), `index.json of ${name}`);
    checkDocumentType(place, ociIndexType);
    const entries = chooseInLayout(parseIndex(place), this.#reference.choice, name);
    const readDocument = async (descriptor: Descriptor) =>
      readRange(this.#files, this.locateBlob(descriptor), documentLimitBytes);
    return resolveEntries(entries, { readDocument, platform, name });
  }

  locateBlob(blob: Descriptor): BlobLocation {
    const { algorithm, hex } = splitDigest(blob.digest);
    const location = this.#locate(fromText(`blobs/${algorithm}/${hex}`));
    if (location === undefined) {
      throw new OsdeployError("not-found", `Cannot find blob ${blob.digest} in ${this.describe()}`);
    }
    return checkLength(location, blob);
  }

  openBlob(blob: Descriptor, options = { offsetBytes: 0 }): AsyncIterable<Uint8Array> {
    return streamRange(this.#files, this.locateBlob(blob), options.offsetBytes);
  }

  async *readBlobRange(blob: Descriptor, range: BlobRange): AsyncGenerator<Uint8Array> {
    yield* streamRange(this.#files, partOf(this.locateBlob(blob), blob, range), 0);
  }

  async close(): Promise<void> {}

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
      throw new OsdeployError("not-found", `Cannot find an image in ${this.describe()}: it has no ${path}`);
    }
    return readRange(this.#files, location, documentLimitBytes);
  }
}

/** @throws OsdeployError `bad-format` when the blob is longer or shorter than its descriptor says. */
function checkLength(location: BlobLocation, blob: Descriptor): BlobLocation {
  if (location.lengthBytes === blob.sizeBytes) return location;
  throw new OsdeployError(
    "bad-format",
    `Cannot use ${blob.digest}: it has ${location.lengthBytes} bytes, not ${blob.sizeBytes} as its descriptor says`,
  );
}
