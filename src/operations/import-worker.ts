import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { assert } from "../core/errors.ts";
import { openLinux } from "../linux/live-linux.ts";
import type { KnownFileMemory } from "../repo/known-files.ts";
import type { StagingOptions } from "../repo/object-staging.ts";
import { type BroughtLayer, type LayerJob, LayerStage, type PlannedRanges, type PlanOptions } from "./layer-stage.ts";
import type { AssemblyJob, MeasureJob, PartialJob, WholeInstead } from "./partial-stage.ts";
import { serveRequests } from "./start-thread.ts";
import { type ThreadFailure, threadFailure } from "./thread-failure.ts";

/** What the main thread sends: at most one hint, and one layer after the other. */
export type WorkerRequest =
  | { readonly kind: "expect"; readonly known: KnownFileMemory }
  | { readonly kind: "import"; readonly job: LayerJob }
  | { readonly kind: "plan"; readonly job: PartialJob; readonly options: PlanOptions }
  | { readonly kind: "assemble"; readonly job: AssemblyJob }
  | { readonly kind: "measure"; readonly job: MeasureJob };

/** What a worker answers to each request but hints. */
export type WorkerReply =
  | { readonly kind: "done"; readonly result: BroughtLayer }
  /** To a layer that was to come in parts. */
  | { readonly kind: "whole"; readonly whole: WholeInstead }
  | { readonly kind: "planned"; readonly planned: PlannedRanges }
  | { readonly kind: "measured" }
  | ThreadFailure;

/** Runs in a worker thread: imports the layers that it is sent with the live Linux, and publishes nothing. */
function serve(): void {
  const port = parentPort;
  assert(port !== null, "a worker has a parent");
  const stage = new LayerStage(openLinux().files, workerData as StagingOptions);
  serveRequests(port, (request: WorkerRequest) => {
    if (request.kind === "expect") stage.expect(request.known);
    else port.postMessage(reply(stage, request));
  });
}

type Work = Exclude<WorkerRequest, { readonly kind: "expect" }>;

function reply(stage: LayerStage, request: Work): WorkerReply {
  try {
    return answer(stage, request);
  } catch (error) {
    return threadFailure(error);
  }
}

function answer(stage: LayerStage, request: Work): WorkerReply {
  switch (request.kind) {
    case "import":
      return { kind: "done", result: stage.importLayer(request.job) };
    case "measure":
      stage.measure(request.job);
      return { kind: "measured" };
    case "plan": {
      const planned = stage.planPartial(request.job, request.options);
      return planned.kind === "whole" ? { kind: "whole", whole: planned } : { kind: "planned", planned };
    }
    default: {
      const result = stage.assemblePartial(request.job);
      return "kind" in result ? { kind: "whole", whole: result } : { kind: "done", result };
    }
  }
}

if (!isMainThread) serve();
