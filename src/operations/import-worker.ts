import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { assert, type ErrorCode, type ErrorFacts, OsdeployError } from "../core/errors.ts";
import { openLinux } from "../linux/live-linux.ts";
import type { KnownFileMemory } from "../repo/known-files.ts";
import type { ImportedLayer } from "../repo/layer-import.ts";
import type { StagingOptions } from "../repo/object-staging.ts";
import { type LayerJob, LayerStage } from "./layer-stage.ts";

/** What the main thread sends: at most one hint, then one layer after the other. */
export type WorkerRequest =
  | { readonly kind: "expect"; readonly known: KnownFileMemory }
  | { readonly kind: "import"; readonly job: LayerJob };

/** What a worker answers to each layer. */
export type WorkerReply =
  | { readonly kind: "done"; readonly result: ImportedLayer }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string; readonly facts: ErrorFacts }
  /** A bug: no `OsdeployError`. */
  | { readonly kind: "broken"; readonly stack: string };

/** Runs in a worker thread: imports the layers that it is sent with the live Linux, and publishes nothing. */
function serve(): void {
  const port = parentPort;
  assert(port !== null, "a worker has a parent");
  const stage = new LayerStage(openLinux().files, workerData as StagingOptions);
  port.on("message", (request: WorkerRequest) => {
    if (request.kind === "expect") stage.expect(request.known);
    else port.postMessage(reply(stage, request.job));
  });
}

function reply(stage: LayerStage, job: LayerJob): WorkerReply {
  try {
    return { kind: "done", result: stage.importLayer(job) };
  } catch (error) {
    if (error instanceof OsdeployError) {
      return { kind: "failed", code: error.code, message: error.message, facts: error.facts };
    }
    return { kind: "broken", stack: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

if (!isMainThread) serve();
