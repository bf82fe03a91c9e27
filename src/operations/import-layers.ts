import { OsdeployError } from "../core/errors.ts";
import type { ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import type { RootImageFiles } from "../repo/known-files.ts";
import type { LayerToImport } from "../repo/layer-import.ts";
import type { StagingRun } from "../repo/staging-run.ts";
import { type Lane, openInlineLane, openWorkerLane } from "./import-lane.ts";
import { LayerCounters } from "./layer-feed.ts";
import { type LayerFetch, startFetch } from "./layer-fetch.ts";
import type { BroughtLayer } from "./layer-stage.ts";
import { largestFirst } from "./missing-layers.ts";
import type { PartialPulls } from "./partial-pulls.ts";
import { asManyAs } from "./start-thread.ts";
import type { System } from "./system.ts";

/** The layers to import, and where from and where to. */
export interface LayersToImport {
  readonly source: ImageSource;
  readonly layers: readonly ResolvedLayer[];
  readonly run: StagingRun;
  /** Brings layers in parts where that can be. */
  readonly partial?: PartialPulls;
  /** Finds the files of an image that is already here. Called while the threads start. */
  readonly findKnown: () => RootImageFiles | undefined;
  /** What the main thread can do while the threads import. Called once, when they have begun. */
  readonly meanwhile: () => void;
  /** What was asked of others when the import began. When it fails, nothing more is brought, and that is the error. */
  readonly asked?: Promise<unknown>;
}

/** How often progress is looked at. */
const progressIntervalMs = 100;
/** Layers that are fetched while no thread imports them yet. */
const fetchAhead = 2;

/**
 * Imports layers side by side, the largest first: whole layers in threads, and no bytes between threads.
 *
 * `onImported` is called as each is complete. The first failure stops all others and is thrown, after every thread has
 * ended; what was imported until then has been handed to `onImported`.
 */
export async function importLayers(
  system: System,
  request: LayersToImport,
  onImported: (imported: BroughtLayer) => void,
): Promise<void> {
  const queue = largestFirst(request.layers).map((layer) => new PendingLayer(layer));
  const lanes = openLanes(system, request, queue.length);
  const halt = new AbortController();
  const stop = () => {
    halt.abort();
    for (const pending of queue) pending.stop();
  };
  system.signal.addEventListener("abort", stop);
  // A signal that was aborted before fires no more.
  if (system.signal.aborted) stop();
  const broken: unknown[] = [];
  const fail = (error: unknown) => {
    broken.push(error);
    stop();
  };
  const asked = request.asked?.catch(fail);
  const idle = setImmediate(() => {
    try {
      request.meanwhile();
    } catch (error) {
      fail(error);
    }
  });
  const ticker = setInterval(() => tick(system, queue), progressIntervalMs);
  try {
    await request.partial?.prepare(lanes);
    expectKnown(lanes, request);
    const outcomes = await Promise.allSettled(
      lanes.map(async (lane) => {
        try {
          await serveLane(system, { ...request, queue, lane, onImported, halted: halt.signal });
        } catch (error) {
          stop();
          throw error;
        }
      }),
    );
    const failed = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
    if (failed.length === 0) await asked;
    throwFirst([...broken, ...failed], system.signal);
  } finally {
    clearImmediate(idle);
    clearInterval(ticker);
    system.signal.removeEventListener("abort", stop);
    await Promise.all([...queue.map((pending) => pending.ended()), request.partial?.close()]);
    await Promise.all(lanes.map((lane) => lane.close()));
  }
}

/** One layer on its way: not begun, being fetched, being imported. */
class PendingLayer {
  readonly layer: ResolvedLayer;
  readonly counters = new LayerCounters();
  taken = false;
  reported = 0;
  #fetch: LayerFetch | undefined;

  constructor(layer: ResolvedLayer) {
    this.layer = layer;
  }

  /** Begins to fetch the layer, or finds it in a file of this machine. */
  fetch(files: LinuxFiles, request: LayersToImport): LayerFetch {
    this.#fetch ??= startFetch(files, { ...request, layer: this.layer, counters: this.counters });
    return this.#fetch;
  }

  /** Fetches the layer once more, from its first byte. */
  fetchAnew(files: LinuxFiles, request: LayersToImport): LayerFetch {
    this.#fetch?.drop();
    this.#fetch = undefined;
    this.counters.reset();
    return this.fetch(files, request);
  }

  stop(): void {
    this.counters.stop();
  }

  /** Settles when nothing is being fetched any more. Never fails. */
  async ended(): Promise<void> {
    await this.#fetch?.done.catch(() => {});
  }
}

interface LaneWork extends LayersToImport {
  readonly queue: readonly PendingLayer[];
  readonly lane: Lane;
  readonly onImported: (imported: BroughtLayer) => void;
  /** Aborted when the import is to end. A layer whose own fetch failed is still taken, so that its error is told. */
  readonly halted: AbortSignal;
}

/** Takes layer after layer from the queue until it is empty. */
async function serveLane(system: System, work: LaneWork): Promise<void> {
  for (;;) {
    const pending = work.halted.aborted ? undefined : work.queue.find(({ taken }) => !taken);
    if (pending === undefined) return;
    pending.taken = true;
    system.progress({ kind: "layer-started", digest: pending.layer.digest });
    const imported = (await bringParts(system, work, pending)) ?? (await bringLayer(system, work, pending));
    system.linux.releaseMemory();
    system.progress({ kind: "layer-finished", digest: pending.layer.digest });
    work.onImported(imported);
  }
}

async function bringParts(
  system: System,
  work: LaneWork,
  { layer, counters }: PendingLayer,
): Promise<BroughtLayer | undefined> {
  const { halted, lane, partial } = work;
  const onWhole = () => fetchNext(system, work);
  return partial?.importLayer(layer, lane, { halted, progress: counters, onWhole });
}

/** Begins to fetch the layers that come whole next, so that no thread waits for them. */
function fetchNext(system: System, work: LaneWork): void {
  const isNext = ({ taken, layer }: PendingLayer) => !taken && work.partial?.mayServe(layer) !== true;
  for (const next of work.queue.filter(isNext).slice(0, fetchAhead)) next.fetch(system.linux.files, work);
}

async function bringLayer(system: System, work: LaneWork, pending: PendingLayer): Promise<BroughtLayer> {
  const { files } = system.linux;
  const fetch = pending.fetch(files, work);
  fetchNext(system, work);
  try {
    return await importFetched(work, pending, fetch);
  } catch (error) {
    if (!isMismatch(error) || !fetch.canRepeat || work.halted.aborted) throw error;
  }
  // What an earlier run left, or what came on the way, was not the layer: once more from its first byte.
  const again = pending.fetchAnew(files, work);
  try {
    return await importFetched(work, pending, again);
  } catch (error) {
    if (isMismatch(error)) again.drop();
    throw error;
  }
}

async function importFetched(work: LaneWork, pending: PendingLayer, fetch: LayerFetch): Promise<BroughtLayer> {
  const claim = work.partial?.claimOf(pending.layer);
  const job = {
    ...{ layer: toImport(pending.layer), ...fetch.location, counters: pending.counters.memory },
    ...(claim && { claim }),
  };
  // A failed fetch stops the import, which then only says so: the fetch's own error is the one to tell.
  const [fetched, imported] = await Promise.allSettled([fetch.done, work.lane.importLayer(job, fetch.done)]);
  if (fetched.status === "rejected") throw fetched.reason;
  if (imported.status === "rejected") throw imported.reason;
  fetch.release();
  return imported.value;
}

function isMismatch(error: unknown): boolean {
  return error instanceof OsdeployError && error.code === "digest-mismatch";
}

function toImport({ digest, sizeBytes, diffId, compression }: ResolvedLayer): LayerToImport {
  return { digest, sizeBytes, diffId, compression };
}

function openLanes(system: System, { run }: LayersToImport, layers: number): readonly Lane[] {
  const threads = Math.min(system.importThreads, layers);
  if (threads === 0) return [openInlineLane(system.linux.files, run.newStagingOptions())];
  return asManyAs(threads, () => openWorkerLane(run.newStagingOptions()));
}

/** Hands the lanes the hint for layers that come whole. A layer in parts needs none, and the hint has its price. */
function expectKnown(lanes: readonly Lane[], { findKnown, layers, partial }: LayersToImport): void {
  if (layers.every((layer) => partial?.mayServe(layer) === true)) return;
  const known = findKnown();
  if (known !== undefined) for (const lane of lanes) lane.expect(known.memory);
}

/** Tells how far the layers are, and gives back what the C library keeps of the large pieces of memory that each of them takes. */
function tick(system: System, queue: readonly PendingLayer[]): void {
  system.linux.releaseMemory();
  for (const pending of queue) {
    const bytes = pending.counters.imported;
    if (bytes <= pending.reported) continue;
    pending.reported = bytes;
    system.progress({ kind: "layer-advanced", digest: pending.layer.digest, bytes });
  }
}

/** The error that began it: those of lanes that were only told to stop come last. */
function throwFirst(errors: readonly unknown[], signal: AbortSignal): void {
  const interrupted = (error: unknown) => error instanceof OsdeployError && error.code === "interrupted";
  const first = errors.find((error) => !interrupted(error)) ?? errors[0];
  if (first !== undefined) throw first;
  if (signal.aborted) throw new OsdeployError("interrupted", "Stopped while layers were being imported");
}
