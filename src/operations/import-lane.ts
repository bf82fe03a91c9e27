import type { Worker } from "node:worker_threads";
import { assert } from "../core/errors.ts";
import type { FetchRange } from "../core/oci/plan-partial-pull.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import type { KnownFileMemory } from "../repo/known-files.ts";
import type { StagingOptions } from "../repo/object-staging.ts";
import type { WorkerReply, WorkerRequest } from "./import-worker.ts";
import { type BroughtLayer, type LayerJob, LayerStage } from "./layer-stage.ts";
import type { MeasureJob, PartialJob, WholeInstead } from "./partial-stage.ts";
import { startThread, threadError } from "./start-thread.ts";
import { failureOf } from "./thread-failure.ts";

/** An import makes little garbage; V8 would let each thread gather 48 MB of it before it looks. */
const youngGenerationMegabytes = 2;

/** A thread that does one thing at a time. */
export interface Lane {
  /** Takes a hint for the layers that follow; see {@link LayerStage.expect}. */
  expect(known: KnownFileMemory): void;
  /** `fetched` settles when the whole blob is there; a lane without a thread has to wait for it. */
  importLayer(job: LayerJob, fetched: Promise<void>): Promise<BroughtLayer>;
  /** Imports a layer of which only parts come; `fetch` is called once it is known which. */
  importPartial(
    job: PartialJob,
    fetch: (ranges: readonly FetchRange[]) => Promise<void>,
  ): Promise<BroughtLayer | WholeInstead>;
  /** Measures the contents of a layer that the repo has. */
  measure(job: MeasureJob): Promise<void>;
  close(): Promise<void>;
}

/** A lane on the calling thread. */
export function openInlineLane(files: LinuxFiles, staging: StagingOptions): Lane {
  const stage = new LayerStage(files, staging);
  return {
    expect: (known) => stage.expect(known),
    async importLayer(job, fetched) {
      await fetched;
      return stage.importLayer(job);
    },
    async importPartial(job, fetch) {
      const planned = stage.planPartial(job);
      if (planned.kind === "whole") return planned;
      await fetch(planned.plan.ranges);
      return stage.assemblePartial(planned);
    },
    measure: async (job) => stage.measure(job),
    async close() {},
  };
}

type Answer = Extract<WorkerReply, { readonly kind: "done" | "whole" | "measured" }>;

/** A lane in a thread of its own. */
export function openWorkerLane(staging: StagingOptions): Lane {
  const worker = startThread(new URL("./import-worker.js", import.meta.url), {
    workerData: staging,
    resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMegabytes },
  });
  // It can break before it is asked for anything, and an error that nobody listens to would end the program.
  const ended: { error?: unknown } = {};
  worker
    .on("error", (error) => {
      ended.error ??= threadError(error);
    })
    .on("exit", (status) => {
      ended.error ??= endedWith(status);
    });
  const ask = (request: WorkerRequest, onRanges?: OnRanges) => askWorker(worker, ended, { request, onRanges });
  return {
    expect: (known) => send(worker, { kind: "expect", known }),
    importLayer: async (job) => {
      const answer = await ask({ kind: "import", job });
      assert(answer.kind === "done", "a layer that came whole is imported whole");
      return answer.result;
    },
    importPartial: async (job, fetch) => {
      const answer = await ask({ kind: "partial", job }, fetch);
      assert(answer.kind !== "measured", "a layer is imported or has to come whole");
      return answer.kind === "done" ? answer.result : answer.whole;
    },
    measure: async (job) => {
      await ask({ kind: "measure", job });
    },
    close: async () => {
      await worker.terminate();
    },
  };
}

function endedWith(status: number): Error {
  return new Error(`An import thread ended with status ${status}`);
}

function send(worker: Worker, request: WorkerRequest): void {
  worker.postMessage(request);
}

type OnRanges = (ranges: readonly FetchRange[]) => void;

function askWorker(
  worker: Worker,
  ended: { readonly error?: unknown },
  { request, onRanges = () => {} }: { readonly request: WorkerRequest; readonly onRanges?: OnRanges | undefined },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    if (ended.error !== undefined) {
      reject(ended.error);
      return;
    }
    const settle = (act: () => void) => {
      worker.off("message", onMessage).off("error", onError).off("exit", onExit);
      act();
    };
    const onMessage = (reply: WorkerReply) => {
      if (reply.kind === "ranges") onRanges(reply.ranges);
      else if (reply.kind === "failed" || reply.kind === "broken") settle(() => reject(failureOf(reply)));
      else settle(() => resolve(reply));
    };
    const onError = (error: unknown) => settle(() => reject(threadError(error)));
    const onExit = (status: number) => settle(() => reject(endedWith(status)));
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
    send(worker, request);
  });
}
