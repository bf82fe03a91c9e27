import { encodeText } from "../core/bytes/utf8.ts";
import type { ConfigDigest, DiffId, LayerDigest, ManifestDigest } from "../core/digest/oci-digest.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import type { ImageConfig } from "../core/oci/image-config.ts";
import type { LayerDescriptor } from "../core/oci/manifest.ts";
import { type RepackedLayer, repackManifest } from "../core/oci/repacked-manifest.ts";
import { findChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import { isChunkedAnnotation } from "../core/zstd-chunked/chunked-tail.ts";
import type { ImageDestination } from "../image-source/image-destination.ts";
import type { ResolvedDocument } from "../image-source/image-source.ts";
import { filePlace } from "../linux/file-place.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";
import { inTurns, type LayerBytes } from "./layer-bytes.ts";
import { type LayerFormat, packLayer } from "./layer-packing.ts";
import { sideBySide } from "./side-by-side.ts";
import { checkInterrupted, type System } from "./system.ts";

/** A layer that is to be sent. */
export interface LayerToSend extends LayerDescriptor {
  readonly diffId: DiffId;
}

/** An image at hand, complete. */
export interface ImageToSend {
  readonly manifest: ResolvedDocument<ManifestDigest>;
  readonly config: ResolvedDocument<ConfigDigest>;
  readonly imageConfig: ImageConfig;
  /** Lowest first. */
  readonly layers: readonly LayerToSend[];
  /** The tar of a layer; can be read again. `advance` is told how much of the layer's own bytes has been read. */
  readonly tar: (layer: LayerToSend, advance: (bytes: number) => void) => LayerBytes;
  /** The blob of a layer as it is; undefined where only tars are at hand. */
  readonly blob: ((layer: LayerToSend) => AsyncIterable<Uint8Array>) | undefined;
  /** Brings what belongs beside the image, before it gets its name; undefined where nothing is known to. */
  readonly companions: ((sent: ManifestDigest) => Promise<SentCompanions>) | undefined;
}

/** Signatures, and what else is about exactly one manifest and kept beside it. */
export interface SentCompanions {
  readonly copied: number;
  readonly leftBehind: number;
}

/** How an image is to be sent. */
export interface SendOptions {
  /** A file to write the digest of the new manifest to. */
  readonly digestFile?: Path | undefined;
  /** Undefined leaves the layers as they are. */
  readonly format: LayerFormat | undefined;
  readonly level: number | undefined;
}

export interface SentLayer {
  readonly digest: LayerDigest;
  readonly diffId: DiffId;
  readonly sizeBytes: number;
  readonly format: LayerFormat;
  /** Whether the destination had it already. */
  readonly known: boolean;
}

export interface SentImage {
  /** The canonical reference of the destination. */
  readonly destination: string;
  readonly manifestDigest: ManifestDigest;
  readonly configDigest: ConfigDigest;
  readonly layers: readonly SentLayer[];
  /** Bytes of blobs that were written. */
  readonly sentBytes: number;
  /** What the source has beside the image. */
  readonly companions: SentCompanions;
}

/** Writes an image to its destination: layers, config, and last the manifest with its name. Any failure leaves no name. */
export async function sendImage(
  system: System,
  image: ImageToSend,
  { destination, options }: { readonly destination: ImageDestination; readonly options: SendOptions },
): Promise<SentImage> {
  system.progress({ kind: "layers", layers: image.layers.map((layer) => ({ ...progressOf(layer), known: false })) });
  system.progress({ kind: "phase", phase: "layers" });
  const sender = new LayerSender(system, image, { destination, options });
  const sent = await sender.sendAll();
  const config = { ...image.config, sizeBytes: image.config.bytes.length, annotations: new Map<string, string>() };
  let sentBytes = sender.sentBytes;
  if (!(await destination.hasBlob(config))) {
    await destination.putBlob(config, () => once(config.bytes));
    sentBytes += config.sizeBytes;
  }
  const repacked = sent.map(({ repacked }) => repacked);
  const manifest = repacked.every((layer) => layer === undefined)
    ? image.manifest
    : repackManifest(image.manifest.bytes, repacked, {
        document: `manifest ${image.manifest.digest}`,
        isOfBytes: isChunkedAnnotation,
      });
  checkInterrupted(system.signal);
  system.progress({ kind: "phase", phase: "publish" });
  const companions = await image.companions?.(manifest.digest);
  await destination.commit({ manifest, platform: image.imageConfig.platform });
  if (options.digestFile !== undefined) writeDigestFile(system.linux.files, options.digestFile, manifest.digest);
  return {
    destination: destination.describe(),
    manifestDigest: manifest.digest,
    configDigest: image.config.digest,
    layers: sent.map(({ layer }) => layer),
    sentBytes,
    companions: companions ?? { copied: 0, leftBehind: 0 },
  };
}

/**
 * Tries whether the file can be written, before anything is sent.
 *
 * @throws OsdeployError of the file system; `already-exists` when it is something else than a file.
 */
export function checkDigestFile(files: LinuxFiles, path: Path | undefined): void {
  if (path === undefined) return;
  const unfinished = unfinishedFile(digestPlace(files, path));
  removeTree(files, unfinished);
  files.writeNewFile(unfinished, new Uint8Array(), 0o644);
  files.unlink(unfinished);
}

/** As podman writes it, without a newline. A file that is there is replaced. */
export function writeDigestFile(files: LinuxFiles, path: Path, digest: ManifestDigest): void {
  const place = digestPlace(files, path);
  const unfinished = unfinishedFile(place);
  removeTree(files, unfinished);
  files.writeNewFile(unfinished, encodeText(digest), 0o644);
  files.rename(unfinished, place, { replace: true });
}

function digestPlace(files: LinuxFiles, path: Path): Path {
  return filePlace(files, path, "the digest");
}

function unfinishedFile(path: Path): Path {
  return `${path}.new` as Path;
}

function progressOf({ digest, sizeBytes }: LayerDescriptor): { readonly digest: string; readonly sizeBytes: number } {
  return { digest, sizeBytes };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A layer that is there, and what a manifest is to say of it where that is new. */
interface Outcome {
  readonly layer: SentLayer;
  readonly repacked: RepackedLayer | undefined;
}

/** Sends the layers of one image, some side by side, each tar once. */
class LayerSender {
  readonly #system: System;
  readonly #image: ImageToSend;
  readonly #destination: ImageDestination;
  readonly #options: SendOptions;
  readonly #outcomes = new Map<LayerDigest, Outcome>();
  sentBytes = 0;

  constructor(
    system: System,
    image: ImageToSend,
    { destination, options }: { readonly destination: ImageDestination; readonly options: SendOptions },
  ) {
    this.#system = system;
    this.#image = image;
    this.#destination = destination;
    this.#options = options;
  }

  async sendAll(): Promise<readonly Outcome[]> {
    const layers = [...new Map(this.#image.layers.map((layer) => [layer.digest, layer])).values()];
    await sideBySide(layers, this.#destination.lanes, (layer) => this.#send(layer));
    return this.#image.layers.flatMap(({ digest }) => this.#outcomes.get(digest) ?? []);
  }

  async #send(layer: LayerToSend): Promise<void> {
    checkInterrupted(this.#system.signal);
    this.#system.progress({ kind: "layer-started", digest: layer.digest });
    const { blob } = this.#image;
    const staysAsItIs = blob !== undefined && isInFormat(layer, this.#options);
    const outcome = staysAsItIs ? await this.#copy(layer, blob) : await this.#repack(layer);
    if (!outcome.layer.known) this.sentBytes += outcome.layer.sizeBytes;
    this.#outcomes.set(layer.digest, outcome);
    this.#system.progress({ kind: "layer-finished", digest: layer.digest });
  }

  async #copy(layer: LayerToSend, blob: NonNullable<ImageToSend["blob"]>): Promise<Outcome> {
    const known = await this.#destination.hasBlob(layer);
    if (!known) await this.#destination.putBlob(layer, () => this.#counted(layer, blob(layer)));
    const { digest, diffId, sizeBytes } = layer;
    return { layer: { digest, diffId, sizeBytes, format: formatOf(layer), known }, repacked: undefined };
  }

  async *#counted(layer: LayerToSend, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    for await (const piece of pieces) {
      yield piece;
      bytes += piece.length;
      this.#advance(layer, bytes);
    }
  }

  async #repack(layer: LayerToSend): Promise<Outcome> {
    const { format = "zstd", level } = this.#options;
    const path = this.#scratchPath(layer);
    const tar = () =>
      inTurns(
        this.#system,
        this.#image.tar(layer, (bytes) => this.#advance(layer, bytes)),
      );
    const packed = await packLayer(this.#system.linux.files, path, { tar, options: { format, level } });
    const { digest, sizeBytes, compression, refusal } = packed;
    if (refusal !== undefined) {
      const message = `Layer ${layer.diffId} became a plain zstd one, which is pulled whole: ${refusal}`;
      this.#system.progress({ kind: "warning", message });
    }
    const written = refusal === undefined ? format : compression;
    const descriptor: Descriptor = { mediaType: "", digest, sizeBytes, annotations: new Map() };
    const known = await this.#destination.hasBlob(descriptor);
    if (known) this.#system.linux.files.unlink(path);
    else await this.#destination.putFile(descriptor, path);
    return { layer: { digest, diffId: layer.diffId, sizeBytes, format: written, known }, repacked: packed };
  }

  #scratchPath(layer: LayerToSend): Path {
    return pathBelow(this.#destination.scratch, layer.digest.replace(":", "-"));
  }

  #advance({ digest, sizeBytes }: LayerToSend, bytes: number): void {
    this.#system.progress({ kind: "layer-advanced", digest, bytes: Math.min(bytes, sizeBytes) });
  }
}

/** A level that was asked for holds for every layer, whatever it is now. */
function isInFormat(layer: LayerToSend, { format, level }: SendOptions): boolean {
  if (format === undefined) return true;
  if (level !== undefined) return false;
  return format === "zstd:chunked" ? formatOf(layer) === format : format === layer.compression;
}

function formatOf(layer: LayerToSend): LayerFormat {
  return findChunkedTables(layer) === undefined ? layer.compression : "zstd:chunked";
}
