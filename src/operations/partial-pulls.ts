import type { DiffId, LayerDigest } from "../core/digest/oci-digest.ts";
import { type OsdeployError, unlessFailing } from "../core/errors.ts";
import { bundledRangeLimit } from "../core/oci/bundle-document.ts";
import { LinkMeter } from "../core/oci/link-meter.ts";
import { type FetchRange, type RangeCosts, weighGaps } from "../core/oci/plan-partial-pull.ts";
import { type ChunkedTables, findChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import type { ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import type { Path } from "../linux/linux.ts";
import { tablesRange } from "../repo/chunked-tables.ts";
import { ContentIndex, putContentIndex } from "../repo/content-index.ts";
import type { ContentTable } from "../repo/content-table.ts";
import type { KeptRanges } from "../repo/kept-ranges.ts";
import { unlinkIfExists } from "../repo/name-link.ts";
import type { WritableRepo } from "../repo/repo.ts";
import { objectPath } from "../repo/repo-paths.ts";
import type { StagingRun } from "../repo/staging-run.ts";
import { findStream, layerStreamName } from "../repo/streams.ts";
import { isRefusal } from "./blob-part.ts";
import { measured, RangeFetcher, requestsInFlight } from "./fetch-ranges.ts";
import type { Lane } from "./import-lane.ts";
import { findSimilarImage } from "./known-image.ts";
import type { LayerCounters } from "./layer-feed.ts";
import type { BroughtLayer } from "./layer-stage.ts";
import { PartialCounters } from "./partial-counters.ts";
import { type ClaimJob, isPartialProblem, type WholeInstead, writtenIndexPath } from "./partial-stage.ts";
import type { System } from "./system.ts";

/** The requests for parts that a pull makes at most, those for tables of contents not counted. */
const requestLimit = 280;
/** What one layer may ask of them, and what each can. */
export const layerRequests = { most: 96, least: 8 } as const;
/** What the tables of all layers of a pull may have together, as they come; a layer whose do not fit in comes whole. */
const tableBudgetBytes = 256 * 1024 * 1024;
/** A layer this small is fetched whole: that is one request as well. */
export const smallLayerBytes = 8 * 1024;

/** What a pull is about. */
export interface PartialPullRequest {
  readonly source: ImageSource;
  /** The layers that are missing. */
  readonly layers: readonly ResolvedLayer[];
  /** All layers of the image. */
  readonly imageLayers: readonly ResolvedLayer[];
  readonly run: StagingRun;
}

/** A layer of the pull that has a table of contents. */
interface ChunkedLayer {
  readonly layer: ResolvedLayer;
  readonly tables: ChunkedTables;
  /** Where its index is written; undefined as long as it has none. */
  directory: Path | undefined;
}

/** What it takes to import a layer in parts. */
interface PartsWork {
  readonly lane: Lane;
  readonly halted: AbortSignal;
  readonly progress: LayerCounters;
  readonly table: ContentTable;
  readonly tableBytes: Uint8Array;
}

/**
 * The layers of one pull that need not come whole: zstd:chunked ones, of which the repo holds a part.
 *
 * Only ever an attempt. Whatever is unexpected, in the tables, the answers of the registry or what the repo holds, makes
 * the layer come whole, and what enters the repo is the layer that has the diff id, or nothing.
 */
export class PartialPulls {
  readonly #system: System;
  readonly #repo: WritableRepo;
  readonly #request: PartialPullRequest;
  readonly #chunked: ReadonlyMap<LayerDigest, ChunkedLayer>;
  readonly #fetcher: RangeFetcher;
  readonly #tables = new Map<LayerDigest, Promise<Uint8Array>>();
  #index: ContentIndex | undefined;
  #requestsLeft = requestLimit;
  /** Set when the source turned out not to give parts. */
  #isRefused = false;

  constructor(system: System, repo: WritableRepo, request: PartialPullRequest) {
    this.#system = system;
    this.#repo = repo;
    this.#request = request;
    const meter = new LinkMeter(request.source.registry()?.latencyMs);
    this.#fetcher = new RangeFetcher(system.linux, request.source, meter);
    const chunked = request.layers.flatMap((layer): readonly [LayerDigest, ChunkedLayer][] => {
      const tables = findChunkedTables(layer);
      return tables === undefined ? [] : [[layer.digest, { layer, tables, directory: undefined }]];
    });
    this.#chunked = new Map(chunked);
  }

  /**
   * Finds out what the repo holds: reads its content index, and has the layers measured that an upgrade most probably
   * shares contents with and that are not in it. Begins to fetch the tables of contents.
   */
  async prepare(lanes: readonly Lane[]): Promise<void> {
    if (this.#chunked.size === 0) return;
    this.#index = ContentIndex.load(this.#repo);
    const unmeasured = this.#unmeasuredLayers(this.#index);
    if (this.#index.table === undefined && unmeasured.length === 0) return;
    this.#fetchTables();
    if (unmeasured.length === 0) return;
    const queue = [...unmeasured];
    await Promise.all(
      lanes.map(async (lane) => {
        for (let layer = queue.shift(); layer !== undefined; layer = queue.shift()) await this.#measure(lane, layer);
      }),
    );
    this.#index = ContentIndex.load(this.#repo);
  }

  /** The pieces of a layer that is fetched whole. What they tell of the link counts for those in parts. */
  measured(pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    return measured(pieces, this.#fetcher.meter, this.#system.linux.clock);
  }

  /** Whether a layer may come in parts, so that it is not to be fetched yet. */
  mayServe(layer: ResolvedLayer): boolean {
    return !this.#isRefused && this.#tables.has(layer.digest) && this.#index?.table !== undefined;
  }

  /** What the import of a layer that comes whole is to write down of it, for later pulls. */
  claimOf({ digest }: ResolvedLayer): ClaimJob | undefined {
    const chunked = this.#chunked.get(digest);
    if (chunked === undefined) return undefined;
    const index = writtenIndexPath(this.#directoryOf(chunked));
    unlinkIfExists(this.#repo.files, index);
    return { tables: chunked.tables, index };
  }

  /** Imports a layer in parts; undefined when it has to come whole. */
  async importLayer(
    layer: ResolvedLayer,
    lane: Lane,
    control: { readonly halted: AbortSignal; readonly progress: LayerCounters },
  ): Promise<BroughtLayer | undefined> {
    const chunked = this.#chunked.get(layer.digest);
    const table = this.#index?.table;
    const tables = this.#tables.get(layer.digest);
    if (this.#isRefused || chunked === undefined || table === undefined || tables === undefined) return undefined;
    try {
      const tableBytes = await tables;
      const result = await this.#importAtAll(chunked, { ...control, lane, table, tableBytes });
      if (!("kind" in result)) return result;
      this.#noteWhole(layer, result);
    } catch (error) {
      if (control.halted.aborted || !isAttemptOver(error)) throw error;
      if (error.code === "system" && this.#isBundled(layer)) throw error;
      this.#isRefused = true;
      this.#warn(layer, error.message);
    } finally {
      this.#tables.delete(layer.digest);
    }
    return undefined;
  }

  /** Takes over what was written down of the layers, now that they are published. */
  keepIndexes(): void {
    const { files } = this.#repo;
    for (const { layer, directory } of this.#chunked.values()) {
      const path = directory && writtenIndexPath(directory);
      if (path !== undefined && files.lstatIfExists(path) !== undefined) {
        this.#keepIndex(layer.diffId, path);
      }
    }
  }

  /** That an index cannot be kept fails no pull: it is a cache. */
  #keepIndex(diffId: DiffId, path: Path): void {
    // It is worth having, and no more.
    unlessFailing(() => putContentIndex(this.#repo, diffId, path));
  }

  /**
   * The layers of the image in the repo that is most like the new one, and those that a bundle counts on, as far as the index
   * does not know them.
   */
  #unmeasuredLayers(index: ContentIndex): readonly DiffId[] {
    const image = findSimilarImage(this.#repo, this.#request.imageLayers);
    const diffIds = new Set([...(image?.config.diffIds ?? []), ...(this.#request.source.bundle()?.countedOn ?? [])]);
    return [...diffIds].filter((diffId) => !index.has(diffId));
  }

  async #measure(lane: Lane, diffId: DiffId): Promise<void> {
    const stream = findStream(this.#repo, layerStreamName(diffId));
    if (stream === undefined) return;
    const index = writtenIndexPath(this.#request.run.newStagingOptions().directory);
    const { path: repoPath, files } = this.#repo;
    await lane.measure({ diffId, repoPath, splitstream: objectPath(repoPath, stream), index });
    if (files.lstatIfExists(index) !== undefined) this.#keepIndex(diffId, index);
  }

  #fetchTables(): void {
    let budget = tableBudgetBytes;
    for (const { layer, tables } of this.#chunked.values()) {
      const range = tablesRange(tables);
      if (layer.sizeBytes <= smallLayerBytes || range.lengthBytes > budget) continue;
      budget -= range.lengthBytes;
      const bytes = this.#fetcher.fetchBytes(layer, range, this.#request.run.openKeptRanges(layer.digest));
      // Whoever waits for them sees the failure; until then it must not count as unhandled.
      bytes.catch(() => {});
      this.#tables.set(layer.digest, bytes);
    }
  }

  /** Imports a layer in parts; a second time without what earlier runs left of it, where that could be to blame. */
  async #importAtAll(chunked: ChunkedLayer, work: PartsWork): Promise<BroughtLayer | WholeInstead> {
    const kept = this.#request.run.openKeptRanges(chunked.layer.digest);
    const hadBytes = (kept?.found ?? []).length > 0;
    const result = await this.#importParts(chunked, work, kept);
    if (!("kind" in result) || result.problem === undefined) return result;
    kept?.clear();
    if (!hadBytes || work.halted.aborted) return result;
    const tableBytes = await this.#fetcher.fetchBytes(chunked.layer, tablesRange(chunked.tables), kept);
    const again = await this.#importParts(chunked, { ...work, tableBytes }, kept);
    if ("kind" in again && again.problem !== undefined) kept?.clear();
    return again;
  }

  async #importParts(
    chunked: ChunkedLayer,
    work: PartsWork,
    kept: KeptRanges | undefined,
  ): Promise<BroughtLayer | WholeInstead> {
    const { layer, tables } = chunked;
    const directory = kept?.directory ?? this.#directoryOf(chunked);
    const costs = this.#reserveRequests(layer);
    const counters = PartialCounters.for(costs.requests);
    const stop = () => counters.stop();
    work.halted.addEventListener("abort", stop);
    if (work.halted.aborted) stop();
    let fetching: Promise<void> = Promise.resolve();
    let unused = costs.requests;
    const fetch = (planned: readonly FetchRange[]) => {
      this.#requestsLeft += unused - planned.length;
      unused = 0;
      fetching = this.#fetcher.fetchFiles(layer, planned, { directory, counters, kept });
      fetching.catch(() => {});
      return fetching;
    };
    const { digest, diffId, sizeBytes } = layer;
    const job = {
      ...{ layer: { digest, diffId, sizeBytes }, tables, tableBytes: work.tableBytes, costs, kept: kept?.found ?? [] },
      ...{ rangeDirectory: directory, index: writtenIndexPath(this.#directoryOf(chunked)) },
      ...{ contents: work.table.memory, counters: counters.memory, progress: work.progress.memory },
    };
    try {
      const [imported] = await Promise.allSettled([work.lane.importPartial(job, fetch)]);
      // What is still being fetched then, nobody waits for.
      stop();
      await fetching;
      if (imported.status === "rejected") throw imported.reason;
      return imported.value;
    } finally {
      // A layer that comes whole after all has asked for nothing.
      this.#requestsLeft += unused;
      work.halted.removeEventListener("abort", stop);
    }
  }

  /** Takes from what the pull may ask of the source; what a layer does not need is given back. */
  #reserveRequests({ digest }: ResolvedLayer): RangeCosts {
    const bundle = this.#request.source.bundle();
    if (bundle?.parts.has(digest)) {
      // What lies between the parts of a bundle is not there, and a file is not tired by requests.
      this.#requestsLeft -= bundledRangeLimit;
      return { bridgedBytes: bundle.bridgedBytes, requests: bundledRangeLimit, partsOnly: true };
    }
    const requests = requestsOfLayer(this.#requestsLeft);
    this.#requestsLeft -= requests;
    const link = { ...this.#fetcher.meter.speed, requestsInFlight };
    return { bridgedBytes: weighGaps(link), requests, link };
  }

  #noteWhole(layer: ResolvedLayer, { problem, distrusted }: WholeInstead): void {
    this.#index?.distrust(distrusted);
    if (problem !== undefined) this.#warn(layer, problem);
  }

  #warn(layer: ResolvedLayer, problem: string): void {
    const message = this.#isBundled(layer)
      ? `Layer ${layer.digest} cannot be put together from what the bundle has of it: ${problem}`
      : `Layer ${layer.digest} cannot come in parts, so it is fetched whole: ${problem}`;
    this.#system.progress({ kind: "warning", message });
  }

  #isBundled({ digest }: ResolvedLayer): boolean {
    return this.#request.source.bundle()?.parts.has(digest) === true;
  }

  #directoryOf(chunked: ChunkedLayer): Path {
    chunked.directory ??= this.#request.run.newStagingOptions().directory;
    return chunked.directory;
  }
}

/** What one layer may ask for where so many requests are left. */
function requestsOfLayer(left: number): number {
  return Math.max(Math.min(Math.floor(left / 2), layerRequests.most), layerRequests.least);
}

/** What any of so many layers of a pull may ask for at least, whichever come first: when none has given anything back. */
export function leastRequests(layers: number): number {
  let left = requestLimit;
  for (let i = 1; i < layers; i++) left -= requestsOfLayer(left);
  return requestsOfLayer(left);
}

/**
 * Whether an error of the source only says that it gives no parts: it may still give the whole. What passes, as a link that
 * breaks, ends the pull instead: the whole would come over the same link, and the next run goes on.
 */
export function isAttemptOver(error: unknown): error is OsdeployError {
  return isPartialProblem(error) || isRefusal(error);
}
