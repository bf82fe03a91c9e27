import { buffer } from "node:stream/consumers";
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
    const { mediaType, diffId, digest, blob } = await buildLayer(files);
    return await this.#offerTop({ mediaType, diffId, digest, ...inMemory(blob) });
  }

  /** Offers an image with the topmost layer of another one on top: what differs is that layer alone. */
  async offerTopOf(tag: string, below: string): Promise<string> {
    const other = openSource(tag);
    try {
      const top = (await other.resolve(platform)).layers.at(-1);
      if (top === undefined) throw new Error(`${tag} has no layers`);
      const bytes = await buffer(other.openBlob(top));
      await this.offer(below);
      return await this.#offerTop({ ...top, ...inMemory(bytes) });
    } finally {
      await other.close();
    }
  }

  async #offerTop({ mediaType, diffId, digest, ...blob }: TopLayer): Promise<string> {
    const image = await this.#source.resolve(platform);
    const newConfig = json(withDiffId(parsed(image.config.bytes), diffId));
    const old = parsed(image.manifest.bytes);
    const bytes = json({
      ...old,
      config: { ...old.config, digest: sha256(newConfig), size: newConfig.length },
      layers: [...(old.layers ?? []), { mediaType, digest, size: blob.sizeBytes }],
    });
    const below = servedImage(this.#source, image);
    const blobs = new Map([...below.blobs, [sha256(newConfig), inMemory(newConfig)], [digest, blob]] as const);
    const manifest = { mediaType: image.manifest.mediaType, digest: sha256(bytes), bytes };
    this.#server.offer({ manifest, blobs });
    return manifest.digest;
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

/** A layer that is put on top of an image, and its bytes. */
interface TopLayer extends ServedBlob {
  readonly mediaType: string;
  readonly diffId: string;
  readonly digest: string;
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
