import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { assert } from "../core/errors.ts";
import type { FetchRange } from "../core/oci/plan-partial-pull.ts";
import { openLinux } from "../linux/live-linux.ts";
import type { KnownFileMemory } from "../repo/known-files.ts";
import type { StagingOptions } from "../repo/object-staging.ts";
import { type BroughtLayer, type LayerJob, LayerStage } from "./layer-stage.ts";
import type { MeasureJob, PartialJob, WholeInstead } from "./partial-stage.ts";
import { type ThreadFailure, threadFailure } from "./thread-failure.ts";

/** What the main thread sends: at most one hint, and one layer after the other. */
export type WorkerRequest =
  | { readonly kind: "expect"; readonly known: KnownFileMemory }
  | { readonly kind: "import"; readonly job: LayerJob }
  | { readonly kind: "partial"; readonly job: PartialJob }
  | { readonly kind: "measure"; readonly job: MeasureJob };

/** What a worker answers to each layer. */
export type WorkerReply =
  | { readonly kind: "done"; readonly result: BroughtLayer }
  /** To a layer that was to come in parts. */
  | { readonly kind: "whole"; readonly whole: WholeInstead }
  | { readonly kind: "measured" }
  /** Not the answer yet: what is to be fetched, while the worker goes on. */
  | { readonly kind: "ranges"; readonly ranges: readonly FetchRange[] }
  | ThreadFailure;

/** Runs in a worker thread: imports the layers that it is sent with the live Linux, and publishes nothing. */
function serve(): void {
  const port = parentPort;
  assert(port !== null, "a worker has a parent");
  const stage = new LayerStage(openLinux().files, workerData as StagingOptions);
  port.on("message", (request: WorkerRequest) => {
    if (request.kind === "expect") stage.expect(request.known);
    else port.postMessage(reply(stage, request, (ranges) => port.postMessage({ kind: "ranges", ranges })));
  });
}

type Work = Exclude<WorkerRequest, { readonly kind: "expect" }>;

function reply(stage: LayerStage, request: Work, announce: (ranges: readonly FetchRange[]) => void): WorkerReply {
  try {
    return answer(stage, request, announce);
  } catch (error) {
    return threadFailure(error);
  }
}

function answer(stage: LayerStage, request: Work, announce: (ranges: readonly FetchRange[]) => void): WorkerReply {
  switch (request.kind) {
    case "import":
      return { kind: "done", result: stage.importLayer(request.job) };
    case "measure":
      stage.measure(request.job);
      return { kind: "measured" };
    default: {
      const planned = stage.planPartial(request.job);
      if (planned.kind === "whole") return { kind: "whole", whole: planned };
      announce(planned.plan.ranges);
      const result = stage.assemblePartial(planned);
      return "kind" in result ? { kind: "whole", whole: result } : { kind: "done", result };
    }
  }
}

if (!isMainThread) serve();
