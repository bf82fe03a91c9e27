import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { assert } from "../core/errors.ts";
import { openLinux } from "../linux/live-linux.ts";
import { type NamingReport, nameObjects } from "../repo/name-objects.ts";
import type { ObjectStore } from "../repo/object-check.ts";
import { type StagedObjects, unpackStaged } from "../repo/staged-objects.ts";
import { type ThreadFailure, threadFailure } from "./thread-failure.ts";

/** What the thread is to name. */
export interface NamingJob {
  readonly store: ObjectStore;
  readonly objects: readonly StagedObjects[];
}

/** What it says when it is done. */
export type NamingReply = { readonly kind: "named"; readonly report: NamingReport } | ThreadFailure;

/** Runs in a worker thread: names the objects that it was made with, with the live Linux. */
function serve({ store, objects }: NamingJob): NamingReply {
  try {
    const staged = objects.flatMap((some) => [...unpackStaged(some)]);
    return { kind: "named", report: nameObjects(openLinux().files, store, staged) };
  } catch (error) {
    return threadFailure(error);
  }
}

if (!isMainThread) {
  assert(parentPort !== null, "a worker has a parent");
  parentPort.postMessage(serve(workerData as NamingJob));
}
