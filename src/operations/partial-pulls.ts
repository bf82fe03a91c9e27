import type { ObjectId } from "../core/digest/object-id.ts";
import type { DiffId, LayerDigest } from "../core/digest/oci-digest.ts";
import { type OsdeployError, unlessFailing } from "../core/errors.ts";
import { bundledRangeLimit } from "../core/oci/bundle-document.ts";
import { LinkMeter } from "../core/oci/link-meter.ts";
import { type RangeCosts, weighGaps } from "../core/oci/plan-partial-pull.ts";
import { type ChunkedTables, findChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import type { ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import type { Path } from "../linux/linux.ts";
import { tablesRange } from "../repo/chunked-tables.ts";
import { ContentIndex, putContentIndex } from "../repo/content-index.ts";
import type { ContentTable } from "../repo/content-table.ts";
import { unlinkIfExists } from "../repo/name-link.ts";
import type { WritableRepo } from "../repo/repo.ts";
import { objectPath } from "../repo/repo-paths.ts";
import type { StagingRun } from "../repo/staging-run.ts";
import { findStream, layerStreamName } from "../repo/streams.ts";
import { BegunLayer } from "./begun-layer.ts";
import { isRefusal } from "./blob-part.ts";
import { measured, RangeFetcher, requestsInFlight } from "./fetch-ranges.ts";
import type { Lane } from "./import-lane.ts";
import { findSimilarImage } from "./known-image.ts";
import type { LayerCounters } from "./layer-feed.ts";
import type { BroughtLayer, PlanOptions } from "./layer-stage.ts";
import { LayerTables } from "./layer-tables.ts";
import { largestFirst } from "./missing-layers.ts";
import { type ClaimJob, isPartialProblem, type WholeInstead, writtenIndexPath } from "./partial-stage.ts";
import type { System } from "./system.ts";

/** The requests for parts that a pull makes at most, those for tables of contents not counted. */
const requestLimit = 280;
/** What one layer may ask of them, and what each can. */
export const layerRequests = { most: 96, least: 8 } as const;
/** What the tables of all layers of a pull may have together, as they come; a layer whose do not fit in comes whole. */
const tableBudgetBytes = 256 * 1024 * 1024;
/** Where answers take at least so long, layers are begun before a lane takes them. */
const leastAheadSeconds = 0.03;
/** No more are begun when so much is asked for of those that no lane has taken. */
const aheadLimitBytes = 32 * 1024 * 1024;
/** A layer this small is fetched whole: that is one request as well. */
export const smallLayerBytes = 8 * 1024;

/** What a pull is about. */
export interface PartialPullRequest {
  readonly source: ImageSource;
  /** The layers that are missing. */
  readonly layers: readonly ResolvedLayer[];
  /** All layers of the image. */
  readonly imageLayers: readonly ResolvedLayer[];
  /** Objects that are known not to hold what they should. */
  readonly damaged: ReadonlySet<ObjectId>;
  readonly run: StagingRun;
}

/** A layer of the pull that has a table of contents. */
interface ChunkedLayer {
  readonly layer: ResolvedLayer;
  readonly tables: ChunkedTables;
  /** Where its index is written; undefined as long as it has none. */
  directory: Path | undefined;
  /** Its tables; undefined where they are not fetched, and when nobody needs them any more. */
  fetched: LayerTables | undefined;
  /** Set when a lane has begun to import it. */
  isTaken: boolean;
  /** Set when it was begun before a lane took it. */
  ahead: Promise<BegunLayer | WholeInstead> | undefined;
  /** What is asked for then. */
  aheadBytes: number;
}

/** What it takes to plan a layer that comes in parts. */
interface PlanWork {
  readonly lane: Lane;
  readonly table: ContentTable;
  readonly tableBytes: Uint8Array;
}

/** What it takes to import it. */
interface PartsWork extends PlanWork, PartsControl {}

/** How the import of a layer in parts and the rest of the pull tell each other of what happens. */
export interface PartsControl {
  /** Aborted when the import is to end. */
  readonly halted: AbortSignal;
  readonly progress: LayerCounters;
  /** Called when a layer that no lane has taken will come whole: it can be fetched from now on. */
  readonly onWhole: () => void;
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
    // As they are taken.
    const chunked = largestFirst(request.layers).flatMap((layer): readonly [LayerDigest, ChunkedLayer][] => {
      const tables = findChunkedTables(layer);
      if (tables === undefined) return [];
      const unknown = { directory: undefined, fetched: undefined, ahead: undefined };
      return [[layer.digest, { layer, tables, isTaken: false, aheadBytes: 0, ...unknown }]];
    });
    this.#chunked = new Map(chunked);
  }

  /**
   * Finds out what the repo holds: reads its content index, and has the layers measured that an upgrade most probably
   * shares contents with and that are not in it. Begins to fetch the tables of contents.
   */
  async prepare(lanes: readonly Lane[]): Promise<void> {
    if (this.#chunked.size === 0) return;
    this.#index = this.#loadIndex();
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
    this.#index = this.#loadIndex();
  }

  #loadIndex(): ContentIndex {
    const index = ContentIndex.load(this.#repo);
    index.table?.forgetObjects(this.#request.damaged);
    return index;
  }

  /** The pieces of a layer that is fetched whole. What they tell of the link counts for those in parts. */
  measured(pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    return measured(pieces, this.#fetcher.meter, this.#system.linux.clock);
  }

  /** Whether a layer may come in parts, so that it is not to be fetched yet. */
  mayServe(layer: ResolvedLayer): boolean {
    return (
      !this.#isRefused && this.#chunked.get(layer.digest)?.fetched !== undefined && this.#index?.table !== undefined
    );
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
  async importLayer(layer: ResolvedLayer, lane: Lane, control: PartsControl): Promise<BroughtLayer | undefined> {
    const chunked = this.#chunked.get(layer.digest);
    const table = this.#index?.table;
    if (this.#isRefused || chunked?.fetched === undefined || table === undefined) return undefined;
    chunked.isTaken = true;
    try {
      const tableBytes = await chunked.fetched.whole;
      const result = await this.#importAtAll(chunked, { ...control, lane, table, tableBytes });
      if (!("kind" in result)) return result;
      this.#noteWhole(layer, result);
    } catch (error) {
      if (control.halted.aborted || !isAttemptOver(error)) throw error;
      if (error.code === "system" && this.#isBundled(layer)) throw error;
      this.#isRefused = true;
      // Their parts are as little to be had.
      void this.close();
      this.#warn(layer, error.message);
    } finally {
      Object.assign(chunked, { fetched: undefined, ahead: undefined });
    }
    return undefined;
  }

  /** Ends what was begun for layers that nobody took. Settles when nothing is fetched any more, and never fails. */
  async close(): Promise<void> {
    const ends = [...this.#chunked.values()].map(async ({ isTaken, ahead }) => {
      if (isTaken) return;
      const begun = await ahead;
      if (!(begun instanceof BegunLayer)) return;
      begun.stop();
      await begun.fetched;
    });
    await Promise.allSettled(ends);
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
    for (const chunked of this.#chunked.values()) {
      const { layer, tables } = chunked;
      const range = tablesRange(tables);
      if (layer.sizeBytes <= smallLayerBytes || range.lengthBytes > budget) continue;
      budget -= range.lengthBytes;
      const whole = this.#fetcher.fetchBytes(layer, range, this.#request.run.openKeptRanges(layer.digest));
      chunked.fetched = new LayerTables(whole);
    }
  }

  /** Imports a layer in parts; a second time without what earlier runs left of it, where that could be to blame. */
  async #importAtAll(chunked: ChunkedLayer, work: PartsWork): Promise<BroughtLayer | WholeInstead> {
    const { layer, tables } = chunked;
    const kept = this.#request.run.openKeptRanges(layer.digest);
    const hadBytes = (kept?.found ?? []).length > 0;
    const begun = await (chunked.ahead ?? this.#begin(chunked, work, { isAhead: false }));
    if (begun instanceof BegunLayer) await this.#lookAhead(work, begun.answered);
    const result = await assembled(begun, work);
    if (!("kind" in result) || result.problem === undefined) return result;
    kept?.clear();
    if (!hadBytes || work.halted.aborted) return result;
    const tableBytes = await this.#fetcher.fetchBytes(layer, tablesRange(tables), kept);
    const afresh = await this.#begin(chunked, { ...work, tableBytes }, { isAhead: false });
    const again = await assembled(afresh, work);
    if ("kind" in again && again.problem !== undefined) kept?.clear();
    return again;
  }

  /** Plans a layer, and begins to fetch what it needs. */
  async #begin(chunked: ChunkedLayer, work: PlanWork, options: PlanOptions): Promise<BegunLayer | WholeInstead> {
    const { layer, tables } = chunked;
    const { digest, diffId, sizeBytes } = layer;
    const kept = this.#request.run.openKeptRanges(digest);
    const costs = this.#reserveRequests(layer);
    let unused = costs.requests;
    try {
      const partial = {
        ...{ layer: { digest, diffId, sizeBytes }, tables, tableBytes: work.tableBytes, costs },
        ...{ kept: kept?.found ?? [], contents: work.table.memory },
      };
      const planned = await work.lane.planPartial(partial, options);
      if (planned.kind === "whole") return planned;
      const { ranges } = planned;
      unused -= ranges.length;
      const rangeDirectory = kept?.directory ?? this.#directoryOf(chunked);
      const index = writtenIndexPath(this.#directoryOf(chunked));
      return new BegunLayer(this.#fetcher, { layer, partial, ranges, rangeDirectory, kept, index });
    } finally {
      // A layer that comes whole after all has asked for nothing.
      this.#requestsLeft += unused;
    }
  }

  /**
   * Begins with layers that follow, over a link on which answers take long: until `answered` says that there are bytes for the lane's
   * own, it has nothing else to do. Whoever takes them plans them again, which costs less than a wait.
   */
  async #lookAhead({ lane, table, halted, onWhole }: PartsWork, answered: Promise<void>): Promise<void> {
    if (this.#fetcher.meter.speed.latencySeconds < leastAheadSeconds) return;
    const isAnswered = answered.then(() => true);
    while (!halted.aborted) {
      const waiting = this.#waitingLayers();
      const next = waiting.find(({ fetched }) => fetched?.bytes !== undefined);
      const tableBytes = next?.fetched?.bytes;
      if (next === undefined || tableBytes === undefined) {
        const tables = waiting.flatMap(({ fetched }) => fetched?.ended ?? []);
        if (tables.length === 0 || (await Promise.race([isAnswered, ...tables])) === true) return;
        continue;
      }
      next.ahead = this.#begin(next, { lane, table, tableBytes }, { isAhead: true });
      // Whoever takes the layer sees the failure.
      const begun = await next.ahead.catch(() => undefined);
      if (begun === undefined) return;
      if (begun instanceof BegunLayer) next.aheadBytes = begun.bytes;
      else if (begun.problem === undefined) {
        next.fetched = undefined;
        onWhole();
      }
    }
  }

  /** Layers that may be begun; none when enough is asked for. */
  #waitingLayers(): readonly ChunkedLayer[] {
    const left = [...this.#chunked.values()].filter(({ isTaken }) => !isTaken);
    const asked = left.reduce((sum, each) => sum + each.aheadBytes, 0);
    return asked < aheadLimitBytes ? left.filter(({ ahead }) => ahead === undefined) : [];
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

async function assembled(begun: BegunLayer | WholeInstead, work: PartsWork): Promise<BroughtLayer | WholeInstead> {
  return begun instanceof BegunLayer ? begun.assemble(work.lane, work) : begun;
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
