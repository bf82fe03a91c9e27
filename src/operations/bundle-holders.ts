import { toText } from "../core/bytes/byte-string.ts";
import { parseHostStatus } from "../core/deployment/host-status.ts";
import type { DiffId, ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError, unless } from "../core/errors.ts";
import { documentLimitBytes } from "../core/oci/json.ts";
import type { Platform } from "../core/oci/platform.ts";
import { type ImageReference, parseImageReference } from "../core/oci/reference.ts";
import { type ChunkedTables, findChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import type { ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import { openImageSource, type SourceOptions } from "../image-source/open-image-source.ts";
import type { Path } from "../linux/linux.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import { tablesRange } from "../repo/chunked-tables.ts";
import { measureContents, readContents } from "../repo/content-measure.ts";
import type { Repo } from "../repo/repo.ts";
import { objectPath } from "../repo/repo-paths.ts";
import { findStream, layerStreamName } from "../repo/streams.ts";
import { findImage } from "./find-image.ts";
import { resolveTrusted } from "./offered-image.ts";
import { fetchToc } from "./plan-image.ts";
import { checkInterrupted, type System } from "./system.ts";

/** Somebody who is to use a bundle, by the layers that they hold. */
export type Holder = ReadonlySet<DiffId>;

/** Where it can be learnt what older images are made of. */
export interface HolderRequest {
  /** Files with the status of hosts. */
  readonly hosts: readonly Path[];
  /** Images that somebody holds. */
  readonly bases: readonly string[];
  /** The place of the image to be bundled: the older ones of hosts are looked for beside it. */
  readonly place: ImageReference;
  /** The image to be bundled, of which somebody may hold layers, too. */
  readonly image: OpenedImage;
  readonly platform: Platform;
  readonly source: SourceOptions;
  readonly repo: Repo | undefined;
  /** Bytes that the tables of what is held may have together, as they come: hosts say what they hold, whatever that is. */
  readonly tableBudgetBytes: number;
}

/** An image, and where its layers can be read. */
interface OpenedImage {
  readonly source: ImageSource;
  readonly layers: readonly ResolvedLayer[];
}

/** Older images: who holds which of their layers, and what is in those. */
export class Holders {
  readonly #system: System;
  readonly #request: HolderRequest;
  readonly #sources: ImageSource[] = [];
  /** Layers of images that the user named. What a host's words lead to tells nothing of these. */
  readonly #named = new HeldLayers();
  readonly #found = new HeldLayers();
  readonly #contents = new Map<DiffId, Promise<ReadonlySet<string> | undefined>>();
  readonly #deployments = new Map<ManifestDigest, readonly DiffId[]>();
  #holders: readonly Holder[] = [];
  #tableBudget: number;
  #isOverBudget = false;

  private constructor(system: System, request: HolderRequest) {
    this.#system = system;
    this.#request = request;
    this.#tableBudget = request.tableBudgetBytes;
    this.#named.add(request.image);
  }

  /** Reads what the hosts say, and the documents of the images that are named. */
  static async read(system: System, request: HolderRequest): Promise<Holders> {
    const holders = new Holders(system, request);
    try {
      const bases: Holder[] = [];
      for (const words of request.bases) bases.push(await holders.#readBase(words));
      const hosts = request.hosts.map((path) => holders.#readHost(path));
      holders.#holders = unique([...bases, ...hosts]);
      return holders;
    } catch (error) {
      await holders.close();
      throw error;
    }
  }

  /** Each combination of layers that somebody holds, once. Empty when nobody was named. */
  get all(): readonly Holder[] {
    return this.#holders;
  }

  /** Finds where it can be learnt what is in the images that hosts have deployed. */
  async findImages(): Promise<void> {
    for (const [manifestDigest, layers] of this.#deployments) {
      checkInterrupted(this.#system.signal);
      if (layers.every((diffId) => this.#named.has(diffId) || this.#isStored(diffId))) continue;
      const reference = besides(this.#request.place, manifestDigest);
      const message = `It is not known what image ${manifestDigest} is made of, so only whole layers that a host has of it are left out`;
      try {
        if (reference === undefined) this.#system.progress({ kind: "warning", message });
        else this.#found.add(await this.#openImage(reference));
      } catch (error) {
        if (!(error instanceof OsdeployError) || error.code === "interrupted") throw error;
        this.#system.progress({ kind: "warning", message: `${message}: ${error.message}` });
      }
    }
  }

  /** The sha256 (hex) of every file in a layer; undefined where that cannot be learnt. */
  async contentsOf(diffId: DiffId): Promise<ReadonlySet<string> | undefined> {
    const known = this.#contents.get(diffId);
    if (known !== undefined) return known;
    const contents = this.#readContents(diffId);
    this.#contents.set(diffId, contents);
    return contents;
  }

  async close(): Promise<void> {
    for (const source of this.#sources.splice(0)) await source.close();
  }

  async #readContents(diffId: DiffId): Promise<ReadonlySet<string> | undefined> {
    checkInterrupted(this.#system.signal);
    if (this.#isStored(diffId)) return this.#measure(diffId);
    const known = (this.#named.has(diffId) ? this.#named : this.#found).find(diffId);
    if (known === undefined || !this.#affords(known.tables)) return undefined;
    const toc = await fetchToc(known.source, known.layer, known.tables);
    return toc && new Set(toc.entries.flatMap(({ chunks, digest }) => (chunks.length > 0 ? [digest] : [])));
  }

  #affords(tables: ChunkedTables): boolean {
    const { lengthBytes } = tablesRange(tables);
    const isAffordable = lengthBytes <= this.#tableBudget;
    if (isAffordable) this.#tableBudget -= lengthBytes;
    else if (!this.#isOverBudget) {
      this.#isOverBudget = true;
      const message =
        "The hosts have more layers than can be looked into, so of the rest only whole layers that a host has are left out";
      this.#system.progress({ kind: "warning", message });
    }
    return isAffordable;
  }

  #isStored(diffId: DiffId): boolean {
    const { repo } = this.#request;
    return repo !== undefined && findStream(repo, layerStreamName(diffId)) !== undefined;
  }

  #measure(diffId: DiffId): ReadonlySet<string> | undefined {
    const { repo } = this.#request;
    const stream = repo && findStream(repo, layerStreamName(diffId));
    if (repo === undefined || stream === undefined) return undefined;
    const { files, path, algorithm } = repo;
    const measured = measureContents(files, readContents(files, objectPath(path, stream)), {
      algorithm,
      hashBlocks: multiBufferHasher(algorithm),
      pathOf: (id) => objectPath(path, id),
    });
    return new Set(measured.map(({ digest }) => digest));
  }

  #readHost(path: Path): Holder {
    const bytes = this.#system.linux.files.readFile(path, documentLimitBytes);
    const deployments = parseHostStatus(bytes, `the status of a host in ${toText(path)}`);
    for (const { manifestDigest, layers } of deployments) {
      const others = this.#deployments.get(manifestDigest) ?? [];
      this.#deployments.set(manifestDigest, [...new Set([...others, ...layers])]);
    }
    return new Set(deployments.flatMap(({ layers }) => layers));
  }

  async #readBase(words: string): Promise<Holder> {
    const stored = this.#findStored(words);
    if (stored !== undefined) return stored;
    const image = await this.#openImage(parseImageReference(words));
    this.#named.add(image);
    return new Set(image.layers.map(({ diffId }) => diffId));
  }

  #findStored(words: string): Holder | undefined {
    const { repo } = this.#request;
    return unless("not-found", () => repo && new Set(findImage(repo, words).config.diffIds));
  }

  async #openImage(reference: ImageReference): Promise<OpenedImage> {
    const { linux, signal } = this.#system;
    const source = openImageSource(reference, linux, { ...this.#request.source, signal });
    this.#sources.push(source);
    // What its manifest says is in a layer is believed of everybody who has that layer.
    const { image } = await resolveTrusted(this.#system, source, this.#request);
    return { source, layers: image.layers };
  }
}

/** A layer, and the tables by which it can be learnt what is in it. */
interface ChunkedLayer {
  readonly source: ImageSource;
  readonly layer: ResolvedLayer;
  readonly tables: ChunkedTables;
}

/** Layers by what they unpack to, out of several images. */
class HeldLayers {
  readonly #layers = new Map<DiffId, ChunkedLayer | "plain" | "disputed">();

  add({ source, layers }: OpenedImage): void {
    for (const layer of layers) {
      const tables = findChunkedTables(layer);
      const added = tables === undefined ? "plain" : { source, layer, tables };
      this.#layers.set(layer.diffId, agreed(this.#layers.get(layer.diffId), added));
    }
  }

  has(diffId: DiffId): boolean {
    return this.#layers.has(diffId);
  }

  /** Undefined where no image tells what is in a layer, or two of them tell different things. */
  find(diffId: DiffId): ChunkedLayer | undefined {
    const known = this.#layers.get(diffId);
    return typeof known === "object" ? known : undefined;
  }
}

/**
 * The first image that tells what is in a layer is asked. A diff id says nothing about tables of contents, so of two different
 * ones none is believed.
 */
function agreed(
  known: ChunkedLayer | "plain" | "disputed" | undefined,
  added: ChunkedLayer | "plain",
): ChunkedLayer | "plain" | "disputed" {
  if (known === undefined || known === "plain") return added;
  if (known === "disputed" || added === "plain") return known;
  return known.tables.tocDigest === added.tables.tocDigest ? known : "disputed";
}

/** The image with this manifest in the same place as `image`. What a host says leads to no other place. */
function besides(image: ImageReference, digest: ManifestDigest): ImageReference | undefined {
  if (image.kind === "registry") return { ...image, tag: undefined, digest };
  if (image.kind === "oci-layout") return { ...image, choice: { kind: "digest", digest, tag: undefined } };
  return undefined;
}

function unique(holders: readonly Holder[]): readonly Holder[] {
  return [...new Map(holders.map((holder) => [[...holder].sort().join(" "), holder])).values()];
}
