import { type DiffId, type LayerDigest, splitDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Compression } from "../core/oci/media-type.ts";
import { defaultTarLimits, type TarLimits } from "../core/tar/tar-limits.ts";
import { TarScanner } from "../core/tar/tar-scanner.ts";
import type { LayerColumns } from "../core/tree/layer-columns.ts";
import { type BlobPair, openBlobPair } from "../linux/blob-pair.ts";
import type { Decoder } from "../linux/decoder.ts";
import { openLayerDecoder } from "../linux/layer-decoder.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import { LayerSink, type LayerStats, type SinkOptions } from "./layer-sink.ts";
import type { ObjectStaging, StagedObject } from "./object-staging.ts";
import type { StreamName } from "./publish.ts";
import { layerStreamName } from "./streams.ts";

/** What is known of a layer before its bytes come; plain data, so that it can be handed to a worker. */
export interface LayerToImport extends SinkOptions {
  readonly digest: LayerDigest;
  /** Bytes of the layer as it is fetched, compressed or not. */
  readonly sizeBytes: number;
  readonly diffId: DiffId;
  /** What the media type says; anything but a tar has to be refused before. Where the bytes say something else, that counts. */
  readonly compression: Compression;
  readonly limits?: LayerLimits;
}

/** What one layer may cost. The registry chooses all of these sizes. */
export interface LayerLimits {
  readonly tar: TarLimits;
  /** Bytes of the tar. */
  readonly tarBytes: number;
  /**
   * How many times its compressed size the tar may be, beyond `freeBytes`: a bomb of 1 MB cannot fill a disk. Real
   * layers have 2 to 4, and a sparse disk image in a layer some hundred.
   */
  readonly ratio: number;
  /** Bytes that a tar of any compressed size may have. */
  readonly freeBytes: number;
}

/** Far above every real image. */
export const defaultLayerLimits: LayerLimits = {
  tar: defaultTarLimits,
  tarBytes: 256 * 1024 * 1024 * 1024,
  ratio: 200,
  freeBytes: 1024 * 1024 * 1024,
};

/** A layer whose bytes were right; plain data, so that a worker can hand it back. Nothing of it is published yet. */
export interface ImportedLayer {
  readonly diffId: DiffId;
  /** The name that the splitstream is to get, once its object is published. */
  readonly stream: StreamName;
  /** What to publish: contents, and the splitstream itself. */
  readonly objects: readonly StagedObject[];
  /** Its entries, so that they need not be read from the splitstream; undefined where they were not kept. */
  readonly columns: LayerColumns | undefined;
  readonly tarBytes: number;
  readonly stats: LayerStats;
}

/** Holds a file that is handed out whole, or an extension header, and its header block; the rest is room to decode to. */
const windowBytes = 2 * 1024 * 1024;
/** What is decoded at most before it is hashed and scanned, so that it is still in the processor's cache. */
const stepBytes = 512 * 1024;

/**
 * One layer on its way from the network into the staging area: layer digest, decompression, diff id, tar, objects and
 * splitstream in one pass. Every byte is decoded into one window, digested, scanned and written from there.
 *
 * Runs in a worker. Bytes are pushed into {@link write}; {@link finish} says whether they were right. Until then, and
 * after any error, nothing can be published: the objects are handed out by `finish` alone.
 */
export class LayerImport {
  readonly #layer: LayerToImport;
  readonly #limits: LayerLimits;
  readonly #staging: ObjectStaging;
  readonly #sink: LayerSink;
  readonly #scanner: TarScanner;
  readonly #decoder: Decoder;
  /** Of the layer, and of its tar. */
  readonly #digests: BlobPair;
  readonly #window = new Uint8Array(windowBytes);
  /** What of the window is not scanned yet. */
  #start = 0;
  #end = 0;
  #receivedBytes = 0;
  #tarBytes = 0;
  /** Why the content is not good, while the rest of the bytes is awaited to learn whether they were the right ones. */
  #contentError: OsdeployError | undefined;

  /** @throws OsdeployError `unsupported` when the layer's compression cannot be decoded here. */
  constructor(files: LinuxFiles, staging: ObjectStaging, layer: LayerToImport) {
    this.#layer = layer;
    this.#limits = layer.limits ?? defaultLayerLimits;
    this.#staging = staging;
    this.#sink = new LayerSink(files, staging, layer);
    this.#scanner = new TarScanner(this.#sink, { limits: this.#limits.tar });
    this.#digests = openBlobPair(splitDigest(layer.digest).algorithm, splitDigest(layer.diffId).algorithm);
    this.#decoder = openLayerDecoder(layer.compression);
  }

  /**
   * Takes the next bytes of the layer as it is fetched. They are not kept.
   *
   * @throws OsdeployError `digest-mismatch` when there are more than the layer has; `no-space` and what else a write
   * throws. Errors of the content wait for {@link finish}.
   */
  write(bytes: Uint8Array): void {
    this.#receivedBytes += bytes.length;
    if (this.#receivedBytes > this.#layer.sizeBytes) {
      throw this.#mismatch(`more than its ${this.#layer.sizeBytes} bytes came`);
    }
    this.#digests.offer(bytes);
    try {
      if (this.#contentError === undefined) this.#decode(bytes);
    } catch (error) {
      this.#contentError = asContentError(error);
    }
    this.#digests.settle();
  }

  /**
   * Ends the layer: checks size, layer digest, decompression, tar and diff id, in this order, and stages the splitstream.
   *
   * @throws OsdeployError `digest-mismatch` when the bytes are not the layer's; `bad-format`, `limit-exceeded` or
   * `unsupported` when they are, and the layer itself is not good.
   */
  finish(): ImportedLayer {
    this.#checkLayer();
    this.#finishContent();
    const diffId = this.#digests.measuredSecond();
    if (diffId !== this.#layer.diffId) throw this.#mismatch(`its tar measures to ${diffId}, not ${this.#layer.diffId}`);
    const { id, stats, columns } = this.#sink.finish();
    return {
      diffId: this.#layer.diffId,
      stream: { name: layerStreamName(this.#layer.diffId), id },
      objects: this.#staging.take(),
      columns,
      tarBytes: this.#tarBytes,
      stats,
    };
  }

  /** Frees the decoder, and removes what was staged unless `finish` has handed it out. To be called in any case. */
  close(): void {
    this.#decoder.close();
    this.#sink.abandon();
    this.#staging.discard();
  }

  #decode(bytes: Uint8Array): void {
    let consumed = 0;
    for (;;) {
      const room = this.#makeRoom();
      const step = this.#decoder.decode(bytes.subarray(consumed), room);
      consumed += step.consumed;
      if (step.produced > 0) this.#take(room.subarray(0, step.produced));
      if (consumed === bytes.length && step.produced < room.length) return;
    }
  }

  /** Room in the window behind what is not scanned yet, which is moved to the front only when there is too little. */
  #makeRoom(): Uint8Array {
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    } else if (this.#window.length - this.#end < stepBytes) {
      this.#window.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    return this.#window.subarray(this.#end, Math.min(this.#end + stepBytes, this.#window.length));
  }

  #take(decoded: Uint8Array): void {
    this.#tarBytes += decoded.length;
    this.#checkTarBytes();
    this.#digests.update(decoded);
    this.#end += decoded.length;
    this.#start += this.#scanner.scan(this.#window, this.#start, this.#end);
  }

  #finishContent(): void {
    try {
      if (this.#contentError !== undefined) throw this.#contentError;
      this.#decoder.finish();
      this.#scanner.finish();
    } catch (error) {
      throw this.#named(asContentError(error));
    }
  }

  /** Who reads a tar or decompresses does not know whose it is; an image has a hundred layers. */
  #named(error: OsdeployError): OsdeployError {
    const { digest } = this.#layer;
    const { code, message, facts } = error;
    if (message.includes(digest)) return error;
    const named = `Cannot use layer ${digest}: ${message}`;
    return new OsdeployError(code, named, { facts: { ...facts, layer: digest }, cause: error });
  }

  #checkTarBytes(): void {
    const { tarBytes, ratio, freeBytes } = this.#limits;
    const allowed = Math.min(tarBytes, freeBytes + ratio * this.#layer.sizeBytes);
    if (this.#tarBytes <= allowed) return;
    const state = `its ${this.#layer.sizeBytes} bytes unpack to more than ${allowed}`;
    throw new OsdeployError("limit-exceeded", `Cannot use layer ${this.#layer.digest}: ${state}`, {
      facts: { layer: this.#layer.digest, allowedBytes: allowed },
    });
  }

  #checkLayer(): void {
    const { sizeBytes, digest } = this.#layer;
    if (this.#receivedBytes !== sizeBytes)
      throw this.#mismatch(`only ${this.#receivedBytes} of its ${sizeBytes} bytes came`);
    const measured = this.#digests.measuredFirst();
    if (measured !== digest) throw this.#mismatch(`its bytes measure to ${measured}`);
  }

  #mismatch(state: string): OsdeployError {
    const { digest } = this.#layer;
    return new OsdeployError("digest-mismatch", `Cannot use layer ${digest}: ${state}`, {
      facts: { layer: digest, bytes: this.#receivedBytes },
      cause: this.#contentError,
    });
  }
}

/** Errors that bytes damaged on the way cause too: whether it was so, the layer's digest will tell. */
const contentCodes: ReadonlySet<string> = new Set(["bad-format", "limit-exceeded", "unsupported"]);

function asContentError(error: unknown): OsdeployError {
  if (error instanceof OsdeployError && contentCodes.has(error.code)) return error;
  throw error;
}
