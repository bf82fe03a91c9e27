import { type ByteString, fromText, toText } from "../core/bytes/byte-string.ts";
import { encodeText } from "../core/bytes/utf8.ts";
import { BlobHasher, sha256Of } from "../core/digest/blob-hasher.ts";
import {
  type DiffId,
  type LayerDigest,
  parseConfigDigest,
  parseLayerDigest,
  parseManifestDigest,
} from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import {
  type ArchivedImage,
  chooseInArchive,
  parseArchiveManifest,
  writeManifest,
} from "../core/oci/docker-archive.ts";
import { checkImagePlatform, type ImageConfig, pairLayers, parseImageConfig } from "../core/oci/image-config.ts";
import { documentLimitBytes } from "../core/oci/json.ts";
import { compressionOf, tellingBytes } from "../core/oci/layer-compression.ts";
import type { LayerDescriptor } from "../core/oci/manifest.ts";
import { type Compression, ociConfigType, ociLayerType, ociManifestType } from "../core/oci/media-type.ts";
import type { Platform } from "../core/oci/platform.ts";
import { type DockerArchiveReference, formatImageReference, type ImageReference } from "../core/oci/reference.ts";
import { defaultTarLimits } from "../core/tar/tar-limits.ts";
import { readPath } from "../core/tar/tar-path.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import { type ArchiveIndex, indexArchive } from "./archive-index.ts";
import { lendRange, partOf, readRange, streamRange } from "./file-range.ts";
import type { BlobLocation, BlobRange, ImageSource, ResolvedImage } from "./image-source.ts";

/**
 * Opens what `docker save` and `podman save` write.
 *
 * Such an archive has no manifest, so one is made: OCI, naming the blobs as they lie in the archive. Layers are plain
 * tars there, whose digest is their diff id. Some builders leave them compressed; those are measured on `resolve`, so
 * that the manifest tells the truth about them.
 *
 * @throws OsdeployError `not-found`, `bad-format`, `unsupported` as `indexArchive` does.
 */
export function openDockerArchive(reference: DockerArchiveReference, files: LinuxFiles): ImageSource {
  return new DockerArchiveSource(reference, files, indexArchive(files, reference.path));
}

class DockerArchiveSource implements ImageSource {
  readonly #reference: DockerArchiveReference;
  readonly #files: LinuxFiles;
  readonly #archive: ArchiveIndex;
  readonly #blobs = new Map<string, BlobLocation>();

  constructor(reference: DockerArchiveReference, files: LinuxFiles, archive: ArchiveIndex) {
    this.#reference = reference;
    this.#files = files;
    this.#archive = archive;
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

  bundle(): undefined {
    return undefined;
  }

  async resolve(platform: Platform): Promise<ResolvedImage> {
    const name = this.describe();
    const list = readRange(this.#files, this.#find("manifest.json"), documentLimitBytes);
    const image = chooseInArchive(parseArchiveManifest(list, `manifest.json of ${name}`), this.#reference.choice, name);
    const bytes = readRange(this.#files, this.#find(image.configPath), documentLimitBytes);
    const imageConfig = parseImageConfig(bytes, `config of ${name}`);
    checkImagePlatform(imageConfig, platform, name);
    const layers = await this.#layers(image, imageConfig);
    const digest = parseConfigDigest(sha256Of(bytes));
    const config = { mediaType: ociConfigType, digest, sizeBytes: bytes.length, annotations: new Map() };
    const manifest = encodeText(writeManifest(config, layers));
    this.#blobs.set(digest, this.#find(image.configPath));
    return {
      index: undefined,
      manifest: { mediaType: ociManifestType, digest: parseManifestDigest(sha256Of(manifest)), bytes: manifest },
      config: { mediaType: ociConfigType, digest, bytes },
      imageConfig,
      annotations: new Map(),
      layers: pairLayers(layers, imageConfig, name),
    };
  }

  async resolveIndex(): Promise<undefined> {
    return undefined;
  }

  locateBlob(blob: Descriptor): BlobLocation {
    const location = this.#blobs.get(blob.digest);
    if (location === undefined || location.lengthBytes !== blob.sizeBytes) {
      throw new OsdeployError("not-found", `Cannot find blob ${blob.digest} in ${this.describe()}`);
    }
    return location;
  }

  openBlob(blob: Descriptor, options = { offsetBytes: 0 }): AsyncIterable<Uint8Array> {
    return streamRange(this.#files, this.locateBlob(blob), options.offsetBytes);
  }

  async *readBlobRange(blob: Descriptor, range: BlobRange): AsyncGenerator<Uint8Array> {
    yield* lendRange(this.#files, partOf(this.locateBlob(blob), blob, range));
  }

  async close(): Promise<void> {}

  async #layers(image: ArchivedImage, config: ImageConfig): Promise<readonly LayerDescriptor[]> {
    const paths = pairLayers(
      image.layerPaths.map((path) => ({ path })),
      config,
      this.describe(),
    );
    const layers: LayerDescriptor[] = [];
    for (const { path, diffId } of paths) layers.push(await this.#layer(this.#find(path), diffId));
    return layers;
  }

  async #layer(location: BlobLocation, diffId: DiffId): Promise<LayerDescriptor> {
    const compression = this.#compressionOf(location);
    const digest = compression === "none" ? parseLayerDigest(diffId) : await this.#measure(location);
    this.#blobs.set(digest, location);
    const mediaType = compression === "none" ? ociLayerType : `${ociLayerType}+${compression}`;
    return { mediaType, compression, digest, sizeBytes: location.lengthBytes, annotations: new Map() };
  }

  #compressionOf(location: BlobLocation): Compression {
    const lengthBytes = Math.min(location.lengthBytes, tellingBytes);
    return compressionOf(readRange(this.#files, { ...location, lengthBytes }, tellingBytes), "none") ?? "none";
  }

  async #measure(location: BlobLocation): Promise<LayerDigest> {
    const hasher = new BlobHasher("sha256");
    for await (const chunk of streamRange(this.#files, location, 0)) hasher.update(chunk);
    return parseLayerDigest(hasher.measured());
  }

  #find(path: string): BlobLocation {
    const location = this.#archive.locate(readPath(fromText(path) as ByteString, defaultTarLimits));
    if (location !== undefined) return location;
    const isLayout = path === "manifest.json" && this.#archive.locate(fromText("index.json")) !== undefined;
    const meant = isLayout ? `; it is an OCI archive: write oci-archive:${toText(this.#reference.path)}` : "";
    const what = JSON.stringify(path.slice(0, 200));
    throw new OsdeployError("not-found", `Cannot find ${what} in ${this.describe()}${meant}`);
  }
}
