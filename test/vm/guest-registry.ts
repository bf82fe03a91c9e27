import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { ImageSource } from "../../src/image-source/image-source.ts";
import { openImageSource } from "../../src/image-source/open-image-source.ts";
import { ImageServer, type ServedBlob, type ServedImage } from "../../src/lab/image-server.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { servedImage } from "../../src/operations/lab-upgrade.ts";
import { json } from "../builders/oci-image.ts";
import { buildLayer, type LayerFile, sha256 } from "../builders/oci-layer.ts";
import { osLayout } from "./os-disk.ts";

/** What the registry does to those who fetch. */
export interface RegistryFault {
  /** After so many bytes of layers, all connections break and nothing is answered any more. */
  readonly goneAfterBytes: number;
}

/** The lab's registry with one image of the OS layout at a time, for the guests; with faults to order. */
export class GuestRegistry {
  readonly #server: ImageServer;
  #source: ImageSource;
  #fault: RegistryFault | undefined;
  /** Bytes of layers sent so far. */
  sentBytes = 0;

  private constructor(server: ImageServer, source: ImageSource) {
    this.#server = server;
    this.#source = source;
  }

  static async start(tag: string): Promise<GuestRegistry> {
    const source = openSource(tag);
    const image = await source.resolve(platform);
    const server = await ImageServer.start(0, servedImage(source, image));
    const registry = new GuestRegistry(server, source);
    await registry.offer(tag);
    return registry;
  }

  /** Where it listens on this machine's loopback. */
  get port(): number {
    return this.#server.port;
  }

  /** Moves the tag that the guests follow. Gives the digest of the manifest. */
  async offer(tag: string, fault?: RegistryFault): Promise<string> {
    await this.#source.close();
    this.#source = openSource(tag);
    const image = await this.#source.resolve(platform);
    this.#fault = fault;
    this.sentBytes = 0;
    this.#server.offer(this.#counted(servedImage(this.#source, image)));
    return image.manifest.digest;
  }

  /** Offers an image with one more layer on top of one of the layout. Gives the digest of its manifest. */
  async offerWith(tag: string, files: readonly LayerFile[]): Promise<string> {
    await this.offer(tag);
    const { manifest, config, layers } = await this.#source.resolve(platform);
    const layer = await buildLayer(files);
    const newConfig = json(withDiffId(parsed(config.bytes), layer.diffId));
    const described = { mediaType: layer.mediaType, digest: layer.digest, size: layer.blob.length };
    const old = parsed(manifest.bytes);
    const bytes = json({
      ...old,
      config: { ...old.config, digest: sha256(newConfig), size: newConfig.length },
      layers: [...(old.layers ?? []), described],
    });
    const below = servedImage(this.#source, { ...(await this.#source.resolve(platform)), layers });
    const blobs = new Map([
      ...below.blobs,
      [sha256(newConfig), inMemory(newConfig)],
      [layer.digest, inMemory(layer.blob)],
    ] as const);
    this.#server.offer({ manifest: { mediaType: manifest.mediaType, digest: sha256(bytes), bytes }, blobs });
    return sha256(bytes);
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    await this.#source.close();
  }

  #counted(image: ServedImage): ServedImage {
    const count = (blob: ServedBlob): ServedBlob => ({
      sizeBytes: blob.sizeBytes,
      open: (offset) => this.#count(blob.open(offset)),
    });
    return { ...image, blobs: new Map([...image.blobs].map(([digest, blob]) => [digest, count(blob)])) };
  }

  async *#count(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      if (this.#fault !== undefined && this.sentBytes >= this.#fault.goneAfterBytes)
        throw new Error("the registry is gone");
      this.sentBytes += chunk.length;
      yield chunk;
    }
  }
}

/** The members of manifests and configs that a further layer changes. */
interface Document {
  readonly config?: object;
  readonly layers?: readonly unknown[];
  readonly rootfs?: { readonly diff_ids: readonly string[] };
  readonly history?: readonly unknown[];
}

function parsed(bytes: Uint8Array): Document {
  return JSON.parse(Buffer.from(bytes).toString("utf8")) as Document;
}

function withDiffId(config: Document, diffId: string): Document {
  const history = config.history === undefined ? {} : { history: [...config.history, {}] };
  return {
    ...config,
    ...history,
    rootfs: { ...config.rootfs, diff_ids: [...(config.rootfs?.diff_ids ?? []), diffId] },
  };
}

function inMemory(bytes: Uint8Array): ServedBlob {
  return {
    sizeBytes: bytes.length,
    open: async function* (offset) {
      yield bytes.subarray(offset);
    },
  };
}

const platform = parsePlatform("linux/amd64");

function openSource(tag: string): ImageSource {
  const environment = { variables: {}, userId: 0 };
  return openImageSource(parseImageReference(`oci:${osLayout}:${tag}`), openLinux(), { environment });
}
