import type { Worker } from "node:worker_threads";
import { assert } from "../core/errors.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import type { KnownFileMemory } from "../repo/known-files.ts";
import type { StagingOptions } from "../repo/object-staging.ts";
import type { WorkerReply, WorkerRequest } from "./import-worker.ts";
import { type BroughtLayer, type LayerJob, LayerStage, type PlannedRanges, type PlanOptions } from "./layer-stage.ts";
import type { AssemblyJob, MeasureJob, PartialJob, WholeInstead } from "./partial-stage.ts";
import { endThread, startThread, threadError } from "./start-thread.ts";
import { failureOf } from "./thread-failure.ts";

/** An import makes little garbage; V8 would let each thread gather 48 MB of it before it looks. */
const youngGenerationMegabytes = 2;

/** A thread that does one thing at a time. */
export interface Lane {
  /** Takes a hint for the layers that follow; see {@link LayerStage.expect}. */
  expect(known: KnownFileMemory): void;
  /** `fetched` settles when the whole blob is there; a lane without a thread has to wait for it. */
  importLayer(job: LayerJob, fetched: Promise<void>): Promise<BroughtLayer>;
  /** Plans which parts of a layer have to come; see {@link LayerStage.planPartial}. */
  planPartial(job: PartialJob, options: PlanOptions): Promise<PlannedRanges | WholeInstead>;
  /** Imports a layer of which parts come; `fetched` settles when all of them are there, as for {@link importLayer}. */
  assemblePartial(job: AssemblyJob, fetched: Promise<void>): Promise<BroughtLayer | WholeInstead>;
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
    planPartial: async (job, options) => stage.planPartial(job, options),
    async assemblePartial(job, fetched) {
      await fetched;
      return stage.assemblePartial(job);
    },
    measure: async (job) => stage.measure(job),
    async close() {},
  };
}

type Answer = Extract<WorkerReply, { readonly kind: "done" | "whole" | "planned" | "measured" }>;

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
  const ask = (request: WorkerRequest) => askWorker(worker, ended, request);
  return {
    expect: (known) => send(worker, { kind: "expect", known }),
    importLayer: async (job) => {
      const answer = await ask({ kind: "import", job });
      assert(answer.kind === "done", "a layer that came whole is imported whole");
      return answer.result;
    },
    planPartial: async (job, options) => {
      const answer = await ask({ kind: "plan", job, options });
      assert(answer.kind === "planned" || answer.kind === "whole", "a layer is planned or has to come whole");
      return answer.kind === "planned" ? answer.planned : answer.whole;
    },
    assemblePartial: async (job) => {
      const answer = await ask({ kind: "assemble", job });
      assert(answer.kind === "done" || answer.kind === "whole", "a layer is imported or has to come whole");
      return answer.kind === "done" ? answer.result : answer.whole;
    },
    measure: async (job) => {
      await ask({ kind: "measure", job });
    },
    close: async () => {
      await endThread(worker);
    },
  };
}

function endedWith(status: number): Error {
  return new Error(`An import thread ended with status ${status}`);
}

function send(worker: Worker, request: WorkerRequest): void {
  worker.postMessage(request);
}

function askWorker(worker: Worker, ended: { readonly error?: unknown }, request: WorkerRequest): Promise<Answer> {
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
      if (reply.kind === "failed" || reply.kind === "broken") settle(() => reject(failureOf(reply)));
      else settle(() => resolve(reply));
    };
    const onError = (error: unknown) => settle(() => reject(threadError(error)));
    const onExit = (status: number) => settle(() => reject(endedWith(status)));
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
    send(worker, request);
  });
}
