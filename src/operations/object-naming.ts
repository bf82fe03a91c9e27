import { Worker } from "node:worker_threads";
import { type NamingReport, nameObjects } from "../repo/name-objects.ts";
import { storeOf } from "../repo/publish.ts";
import type { WritableRepo } from "../repo/repo.ts";
import { countStaged, type StagedObjects, unpackStaged } from "../repo/staged-objects.ts";
import type { NamingJob, NamingReply } from "./name-worker.ts";
import type { System } from "./system.ts";
import { failureOf } from "./thread-failure.ts";

/** To start a thread takes as long as to name this many objects. */
const threadObjects = 5000;
/** It makes hardly any garbage. */
const youngGenerationMegabytes = 2;

/**
 * Objects of a good image that get their names while the main thread goes on. It may write meanwhile, but not link to
 * any of them before {@link done}. Close it in any case.
 */
export class ObjectNaming {
  readonly #worker: Worker | undefined;
  readonly #report: Promise<NamingReport>;

  /** Begins; few objects, and those of a system without threads, are named when it returns. */
  constructor(system: System, repo: WritableRepo, objects: readonly StagedObjects[]) {
    const count = objects.reduce((sum, some) => sum + countStaged(some), 0);
    if (system.importThreads > 1 && count > threadObjects) {
      const job: NamingJob = { store: storeOf(repo), objects };
      this.#worker = new Worker(new URL("./name-worker.js", import.meta.url), {
        workerData: job,
        resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMegabytes },
      });
      this.#report = reportOf(this.#worker);
    } else {
      const staged = objects.flatMap((some) => [...unpackStaged(some)]);
      this.#report = Promise.resolve(nameObjects(repo.files, storeOf(repo), staged));
    }
    // Whoever waits for it sees the failure; where something else failed before, nobody does.
    this.#report.catch(() => {});
  }

  /** Settles when all of them have their names. @throws what {@link nameObjects} throws. */
  done(): Promise<NamingReport> {
    return this.#report;
  }

  /** Ends the thread, whatever it does. */
  async close(): Promise<void> {
    await this.#worker?.terminate();
  }
}

function reportOf(worker: Worker): Promise<NamingReport> {
  return new Promise((resolve, reject) => {
    worker
      .on("message", (reply: NamingReply) =>
        reply.kind === "named" ? resolve(reply.report) : reject(failureOf(reply)),
      )
      .on("error", reject)
      .on("exit", (status) => reject(new Error(`The thread that names objects ended with status ${status}`)));
  });
}
