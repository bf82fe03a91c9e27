import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { assert } from "../core/errors.ts";
import { openLinux } from "../linux/live-linux.ts";
import { type NamingReport, nameObjects } from "../repo/name-objects.ts";
import type { ObjectStore } from "../repo/object-check.ts";
import { type StagedObjects, unpackStaged } from "../repo/staged-objects.ts";
import { serveRequests } from "./start-thread.ts";
import { type ThreadFailure, threadFailure } from "./thread-failure.ts";

/** What the thread is to name when it is told to begin, by a message of any kind. */
export interface NamingJob {
  readonly store: ObjectStore;
  readonly objects: readonly StagedObjects[];
}

/** What it says when it is done. */
export type NamingReply = { readonly kind: "named"; readonly report: NamingReport } | ThreadFailure;

/** Runs in a worker thread: makes all ready, waits for its message, and names the objects with the live Linux. */
function serve({ store, objects }: NamingJob): void {
  const port = parentPort;
  assert(port !== null, "a worker has a parent");
  const { files } = openLinux();
  const staged = objects.flatMap((some) => [...unpackStaged(some)]);
  const reply = (): NamingReply => {
    try {
      return { kind: "named", report: nameObjects(files, store, staged) };
    } catch (error) {
      return threadFailure(error);
    }
  };
  serveRequests(port, () => port.postMessage(reply()));
}

if (!isMainThread) serve(workerData as NamingJob);
