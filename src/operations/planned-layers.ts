import type { LayerOffer } from "../core/deployment/plan-transfer.ts";
import { parseObjectId, type VerityAlgorithm } from "../core/digest/object-id.ts";
import type { DiffId } from "../core/digest/oci-digest.ts";
import type { FetchRange } from "../core/oci/plan-partial-pull.ts";
import { type ChunkedTables, findChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import type { ChunkedToc, TocEntry } from "../core/oci/zstd-chunked-toc.ts";
import { SplitstreamWriter } from "../core/splitstream/splitstream-writer.ts";
import { maxInlineBytes } from "../core/tar/tar-scanner.ts";
import { type NamedContent, readTarSplitEntries } from "../core/tar/tar-split-entries.ts";
import type { LayerEntry } from "../core/tree/layer.ts";
import type { ImageSource, ResolvedImage, ResolvedLayer } from "../image-source/image-source.ts";
import { checkServed } from "../image-source/layout-source.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import { compressZstd } from "../linux/zstd-encoder.ts";
import { readToc, tablesRange, unpackTarSplit } from "../repo/chunked-tables.ts";
import { ContentIndex } from "../repo/content-index.ts";
import { isEmptyIndex, writeContentIndex } from "../repo/content-index-file.ts";
import { measureContents, readContents } from "../repo/content-measure.ts";
import { begunBytes, listKeptRanges } from "../repo/kept-ranges.ts";
import { unlessDamaged } from "../repo/read-object.ts";
import type { Repo } from "../repo/repo.ts";
import { objectPath } from "../repo/repo-paths.ts";
import { findStream, layerStreamName, readLayer } from "../repo/streams.ts";
import { openZstdRecords } from "../repo/zstd-records.ts";
import { readBlobPart } from "./blob-part.ts";
import { HeldContents } from "./held-contents.ts";
import { findSimilarImage } from "./known-image.ts";
import { missingLayers } from "./missing-layers.ts";
import { isAttemptOver, leastRequests, smallLayerBytes } from "./partial-pulls.ts";
import { planDownload } from "./planned-download.ts";
import { checkInterrupted, type System } from "./system.ts";

/** A layer as a pull would find it. */
export interface PlannedLayer {
  readonly offer: LayerOffer;
  /** What is in it; undefined where nobody knows before it is here. */
  readonly entries: readonly LayerEntry[] | undefined;
  /** Bytes of the splitstream that would be written for it; 0 for a layer that is here. */
  readonly streamBytes: number;
  /** Whether a pull writes down what is in it, for later ones, and none has. */
  readonly hasIndex: boolean;
}

/** Where the bytes of a content that is not here can be had. */
export interface ContentPlace {
  readonly layer: ResolvedLayer;
  readonly entry: TocEntry;
}

/** All layers of an image, lowest first, and the contents that the repo lacks, by the hex of their sha256. */
export interface PlannedLayers {
  readonly layers: readonly PlannedLayer[];
  readonly missing: ReadonlyMap<string, ContentPlace>;
  /** Layers of the repo that a pull measures first, and of which it writes down what is in them. */
  readonly measuredLayers: number;
}

/**
 * Finds out what the layers of an image are, and what a pull of them would fetch. Fetches no more than tables of contents,
 * and writes nothing. Where a pull would first measure layers that the repo has, so does this.
 */
export async function planLayers(
  system: System,
  repo: Repo,
  { source, image }: { readonly source: ImageSource; readonly image: ResolvedImage },
): Promise<PlannedLayers> {
  if (source.bundle() !== undefined) checkServed(source, missingLayers(repo, image));
  const planner = new LayerPlanner(system, { repo, source, image });
  const layers: PlannedLayer[] = [];
  for (const layer of image.layers) layers.push(await planner.plan(layer));
  return { layers, missing: planner.missing, measuredLayers: planner.measuredLayers };
}

/** Of a layer that is here, or nobody can look into. */
const unwritten = { streamBytes: 0, hasIndex: false } as const;

class LayerPlanner {
  readonly missing = new Map<string, ContentPlace>();
  measuredLayers = 0;
  readonly #system: System;
  readonly #repo: Repo;
  readonly #source: ImageSource;
  readonly #image: ResolvedImage;
  /** The same layer can be in an image twice. */
  readonly #planned = new Map<DiffId, PlannedLayer>();
  #held: HeldContents | undefined;
  #index: ContentIndex | undefined;
  /** Set when the source turned out not to give parts: a pull asks for none any more then. */
  #isRefused = false;

  constructor(
    system: System,
    work: { readonly repo: Repo; readonly source: ImageSource; readonly image: ResolvedImage },
  ) {
    this.#system = system;
    this.#repo = work.repo;
    this.#source = work.source;
    this.#image = work.image;
  }

  async plan(layer: ResolvedLayer): Promise<PlannedLayer> {
    const planned = this.#planned.get(layer.diffId) ?? (await this.#planNew(layer));
    this.#planned.set(layer.diffId, planned);
    return planned;
  }

  async #planNew(layer: ResolvedLayer): Promise<PlannedLayer> {
    checkInterrupted(this.#system.signal);
    const { digest, diffId, sizeBytes } = layer;
    const isNamed = findStream(this.#repo, layerStreamName(diffId)) !== undefined;
    const known = isNamed ? unlessDamaged(() => readLayer(this.#repo, diffId)) : undefined;
    if (known !== undefined) return { offer: { kind: "known", digest, sizeBytes }, entries: known, ...unwritten };
    const tables = this.#isRefused ? undefined : findChunkedTables(layer);
    const chunked = tables === undefined ? undefined : await this.#planChunked(layer, tables);
    if (chunked !== undefined) return chunked;
    const keptBytes = begunBytes(layer, this.#keptOf(layer));
    return { offer: { kind: "whole", digest, sizeBytes, keptBytes }, entries: undefined, ...unwritten };
  }

  /** Undefined where a pull would take the layer whole: the tables cannot be had, or used. */
  async #planChunked(layer: ResolvedLayer, tables: ChunkedTables): Promise<PlannedLayer | undefined> {
    const held = this.#openHeld();
    const bytes = await this.#fetchTables(layer, tables);
    if (bytes === undefined) return undefined;
    try {
      const toc = readToc(tables, bytes);
      const contents = toc.entries.map((entry) => ({ sizeBytes: entry.sizeBytes, content: held.contentOf(entry) }));
      const read = readLayerOutline(unpackTarSplit(tables, toc, bytes), contents, this.#repo.algorithm);
      for (const entry of toc.entries) this.missing.set(entry.digest, { layer, entry });
      const hasIndex = toc.entries.some(({ sizeBytes }) => sizeBytes > 0) && this.#index?.has(layer.diffId) !== true;
      return { offer: this.#offerOf(layer, { tables, toc, held }), ...read, hasIndex };
    } catch (error) {
      // Of a bundle there is no whole to be taken.
      if (isAttemptOver(error) && this.#source.bundle()?.parts.has(layer.digest) !== true) return undefined;
      throw error;
    }
  }

  async #fetchTables(layer: ResolvedLayer, tables: ChunkedTables): Promise<Uint8Array | undefined> {
    try {
      return await readBlobPart(this.#source, layer, tablesRange(tables));
    } catch (error) {
      if (!isAttemptOver(error)) throw error;
      this.#isRefused = true;
      return undefined;
    }
  }

  #offerOf(
    layer: ResolvedLayer,
    read: { readonly tables: ChunkedTables; readonly toc: ChunkedToc; readonly held: HeldContents },
  ): LayerOffer {
    const { digest, sizeBytes } = layer;
    const contents = read.toc.entries
      .filter((entry) => entry.sizeBytes > maxInlineBytes)
      .map((entry) => ({ digest: entry.digest, sizeBytes: entry.sizeBytes, known: read.held.isObject(entry) }));
    const download = planDownload(
      { layer, ...read, kept: this.#keptOf(layer) },
      {
        source: this.#source,
        // What other layers ask for, and when they give it back, is seen in the pull.
        leastRequests: leastRequests(this.#countChunked()),
      },
    );
    return { kind: "chunked", digest, sizeBytes, download, contents };
  }

  /** Layers of the image that may come in parts. */
  #countChunked(): number {
    const isOne = (layer: ResolvedLayer) =>
      layer.sizeBytes > smallLayerBytes &&
      findChunkedTables(layer) !== undefined &&
      findStream(this.#repo, layerStreamName(layer.diffId)) === undefined;
    return new Set(this.#image.layers.filter(isOne).map(({ diffId }) => diffId)).size;
  }

  #keptOf({ digest }: ResolvedLayer): readonly FetchRange[] {
    return listKeptRanges(this.#repo.files, this.#repo.path, digest);
  }

  #openHeld(): HeldContents {
    if (this.#held !== undefined) return this.#held;
    const { index, measuredLayers } = loadIndex(this.#system, this.#repo, { source: this.#source, image: this.#image });
    this.measuredLayers = measuredLayers;
    this.#index = index;
    this.#held = new HeldContents(this.#repo, index.table);
    return this.#held;
  }
}

/** The entries of a layer, and how large its splitstream is: as large as the true one, where the few bytes of small files are here. */
function readLayerOutline(
  tarSplit: Uint8Array,
  contents: readonly NamedContent[],
  algorithm: VerityAlgorithm,
): Pick<PlannedLayer, "entries" | "streamBytes"> {
  const records = openZstdRecords();
  try {
    const stream = new SplitstreamWriter(algorithm, "layer", records);
    const entries = readTarSplitEntries(tarSplit, contents, {
      addInline: (bytes) => stream.addInline(bytes),
      addObject: ({ digest }, sizeBytes) => stream.addObject(parseObjectId(`${digest}`, algorithm), sizeBytes),
    });
    return { entries, streamBytes: stream.finish(compressZstd).length };
  } finally {
    records.close();
  }
}

/**
 * The index of contents as a pull would make it before it asks for parts: with the layers of the image most like this one, and
 * those that a bundle counts on.
 */
function loadIndex(
  system: System,
  repo: Repo,
  { source, image }: { readonly source: ImageSource; readonly image: ResolvedImage },
): { readonly index: ContentIndex; readonly measuredLayers: number } {
  const index = ContentIndex.load(repo);
  const similar = findSimilarImage(repo, image.layers)?.config.diffIds ?? [];
  const diffIds = new Set([...similar, ...(source.bundle()?.countedOn ?? [])]);
  const unmeasured = [...diffIds].filter((diffId) => !index.has(diffId));
  if (unmeasured.length === 0) return { index, measuredLayers: 0 };
  const measured = unmeasured.map((diffId): readonly [DiffId, Uint8Array] => {
    checkInterrupted(system.signal);
    return [diffId, measure(repo, diffId)];
  });
  const measuredLayers = measured.filter(([, bytes]) => !isEmptyIndex(bytes)).length;
  return { index: ContentIndex.load(repo, new Map(measured)), measuredLayers };
}

function measure(repo: Repo, diffId: DiffId): Uint8Array {
  const { algorithm, files, path } = repo;
  const stream = findStream(repo, layerStreamName(diffId));
  const contents =
    stream === undefined ? [] : (unlessDamaged(() => readContents(files, objectPath(path, stream))) ?? []);
  const hashBlocks = multiBufferHasher(algorithm);
  const pathOf = (id: Parameters<typeof objectPath>[1]) => objectPath(path, id);
  return writeContentIndex(algorithm, measureContents(files, contents, { algorithm, hashBlocks, pathOf }));
}
