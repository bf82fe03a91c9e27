import { Worker } from "node:worker_threads";
import { OsdeployError } from "../core/errors.ts";
import type { ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import type { KnownFileMemory, KnownFileTable } from "../repo/known-files.ts";
import type { ImportedLayer, LayerToImport } from "../repo/layer-import.ts";
import type { StagingOptions } from "../repo/object-staging.ts";
import type { StagingRun } from "../repo/staging-run.ts";
import type { WorkerReply, WorkerRequest } from "./import-worker.ts";
import { LayerCounters } from "./layer-feed.ts";
import { type LayerFetch, startFetch } from "./layer-fetch.ts";
import { type LayerJob, LayerStage } from "./layer-stage.ts";
import type { System } from "./system.ts";

/** The layers to import, and where from and where to. */
export interface LayersToImport {
  readonly source: ImageSource;
  readonly layers: readonly ResolvedLayer[];
  readonly run: StagingRun;
  /** Finds the files of an image that is already here. Called while the threads start. */
  readonly findKnown: () => KnownFileTable | undefined;
  /** What the main thread can do while the threads import. Called once, when they have begun. */
  readonly meanwhile: () => void;
}

/** How often progress is looked at. */
const progressIntervalMs = 100;
/** An import makes little garbage; V8 would let each thread gather 48 MB of it before it looks. */
const youngGenerationMegabytes = 2;
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
  onImported: (imported: ImportedLayer) => void,
): Promise<void> {
  const queue = [...request.layers].sort((a, b) => b.sizeBytes - a.sizeBytes).map((layer) => new PendingLayer(layer));
  const lanes = openLanes(system, request, queue.length);
  const halt = new AbortController();
  const stop = () => {
    halt.abort();
    for (const pending of queue) pending.stop();
  };
  system.signal.addEventListener("abort", stop);
  // A signal that was aborted before fires no more.
  if (system.signal.aborted) stop();
  const idle = setImmediate(request.meanwhile);
  const ticker = setInterval(() => reportProgress(system, queue), progressIntervalMs);
  try {
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
    throwFirst(outcomes, system.signal);
  } finally {
    clearImmediate(idle);
    clearInterval(ticker);
    system.signal.removeEventListener("abort", stop);
    await Promise.all(queue.map((pending) => pending.ended()));
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
  readonly onImported: (imported: ImportedLayer) => void;
  /** Aborted when the import is to end. A layer whose own fetch failed is still taken, so that its error is told. */
  readonly halted: AbortSignal;
}

/** Takes layer after layer from the queue until it is empty. */
async function serveLane(system: System, work: LaneWork): Promise<void> {
  for (;;) {
    const pending = work.halted.aborted ? undefined : work.queue.find(({ taken }) => !taken);
    if (pending === undefined) return;
    pending.taken = true;
    const { layer, counters } = pending;
    const fetch = pending.fetch(system.linux.files, work);
    for (const next of work.queue.filter(({ taken }) => !taken).slice(0, fetchAhead))
      next.fetch(system.linux.files, work);
    system.progress({ kind: "layer-started", digest: layer.digest });
    const job = { layer: toImport(layer), ...fetch.location, counters: counters.memory };
    // A failed fetch stops the import, which then only says so: the fetch's own error is the one to tell.
    const [fetched, imported] = await Promise.allSettled([fetch.done, work.lane.importLayer(job, fetch.done)]);
    if (fetched.status === "rejected") throw fetched.reason;
    if (imported.status === "rejected") throw imported.reason;
    fetch.discard();
    system.progress({ kind: "layer-finished", digest: layer.digest });
    work.onImported(imported.value);
  }
}

function toImport({ digest, sizeBytes, diffId, compression }: ResolvedLayer): LayerToImport {
  return { digest, sizeBytes, diffId, compression };
}

/** A thread that imports one layer at a time. */
interface Lane {
  /** Takes a hint for the layers that follow; see {@link LayerStage.expect}. */
  expect(known: KnownFileMemory): void;
  /** `fetched` settles when the whole blob is there; a lane without a thread has to wait for it. */
  importLayer(job: LayerJob, fetched: Promise<void>): Promise<ImportedLayer>;
  close(): Promise<void>;
}

function openLanes(system: System, { run, findKnown }: LayersToImport, layers: number): readonly Lane[] {
  const threads = Math.min(system.importThreads, layers);
  const lanes =
    threads === 0
      ? [openInlineLane(system.linux.files, run.newStagingOptions())]
      : Array.from({ length: threads }, () => openWorkerLane(run.newStagingOptions()));
  const known = findKnown();
  if (known !== undefined) for (const lane of lanes) lane.expect(known.memory);
  return lanes;
}

function openInlineLane(files: LinuxFiles, staging: StagingOptions): Lane {
  const stage = new LayerStage(files, staging);
  return {
    expect: (known) => stage.expect(known),
    async importLayer(job, fetched) {
      await fetched;
      return stage.importLayer(job);
    },
    async close() {},
  };
}

function openWorkerLane(staging: StagingOptions): Lane {
  const worker = new Worker(new URL("./import-worker.js", import.meta.url), {
    workerData: staging,
    resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMegabytes },
  });
  const send = (request: WorkerRequest) => worker.postMessage(request);
  return {
    expect: (known) => send({ kind: "expect", known }),
    importLayer: (job) =>
      new Promise((resolve, reject) => {
        const settle = (act: () => void) => {
          worker.off("message", onMessage).off("error", onError).off("exit", onExit);
          act();
        };
        const onMessage = (reply: WorkerReply) =>
          settle(() => (reply.kind === "done" ? resolve(reply.result) : reject(errorOf(reply))));
        const onError = (error: unknown) => settle(() => reject(error));
        const onExit = (status: number) =>
          settle(() => reject(new Error(`An import thread ended with status ${status}`)));
        worker.on("message", onMessage).on("error", onError).on("exit", onExit);
        send({ kind: "import", job });
      }),
    close: async () => {
      await worker.terminate();
    },
  };
}

function errorOf(reply: Exclude<WorkerReply, { readonly kind: "done" }>): Error {
  if (reply.kind === "failed") return new OsdeployError(reply.code, reply.message, { facts: reply.facts });
  const error = new Error("An import thread broke");
  error.stack = reply.stack;
  return error;
}

function reportProgress(system: System, queue: readonly PendingLayer[]): void {
  for (const pending of queue) {
    const bytes = pending.counters.imported;
    if (bytes === pending.reported) continue;
    pending.reported = bytes;
    system.progress({ kind: "layer-advanced", digest: pending.layer.digest, bytes });
  }
}

/** The error that began it: those of lanes that were only told to stop come last. */
function throwFirst(outcomes: readonly PromiseSettledResult<void>[], signal: AbortSignal): void {
  const errors = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
  const interrupted = (error: unknown) => error instanceof OsdeployError && error.code === "interrupted";
  const first = errors.find((error) => !interrupted(error)) ?? errors[0];
  if (first !== undefined) throw first;
  if (signal.aborted) throw new OsdeployError("interrupted", "Stopped while layers were being imported");
}
