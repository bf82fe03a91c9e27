import type { Worker } from "node:worker_threads";
import { assert } from "../core/errors.ts";
import { type NamingReport, nameObjects } from "../repo/name-objects.ts";
import { storeOf } from "../repo/publish.ts";
import type { WritableRepo } from "../repo/repo.ts";
import { countStaged, type StagedObjects, unpackStaged } from "../repo/staged-objects.ts";
import type { NamingJob, NamingReply } from "./name-worker.ts";
import { endThread, startThread, threadError } from "./start-thread.ts";
import type { System } from "./system.ts";
import { failureOf } from "./thread-failure.ts";

/** To start a thread takes as long as to name this many objects. */
const threadObjects = 5000;
/** It makes hardly any garbage. */
const youngGenerationMegabytes = 2;

/**
 * Objects of an image that are to get their names while the main thread goes on. Made as soon as they are all staged, so
 * that a thread can start and read what they are; none gets its name before {@link begin}. Close it in any case.
 */
export class ObjectNaming {
  readonly #repo: WritableRepo;
  readonly #objects: readonly StagedObjects[];
  readonly #worker: Worker | undefined;
  #report: Promise<NamingReport> | undefined;

  constructor(system: System, repo: WritableRepo, objects: readonly StagedObjects[]) {
    this.#repo = repo;
    this.#objects = objects;
    const count = objects.reduce((sum, some) => sum + countStaged(some), 0);
    if (system.importThreads <= 1 || count <= threadObjects) return;
    const job: NamingJob = { store: storeOf(repo), objects };
    this.#worker = startThread(new URL("./name-worker.js", import.meta.url), {
      workerData: job,
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMegabytes },
    });
    this.#report = reportOf(this.#worker);
    // Whoever waits for it sees the failure; where something else failed before, nobody does.
    this.#report.catch(() => {});
  }

  /**
   * Of a good image: its objects get their names from now on. Few, and those of a system without threads, have them when
   * it returns. The main thread may write meanwhile, but not link to any of them before {@link done}.
   *
   * @throws without a thread, what {@link nameObjects} throws.
   */
  begin(): void {
    if (this.#worker === undefined) {
      const staged = this.#objects.flatMap((some) => [...unpackStaged(some)]);
      this.#report = Promise.resolve(nameObjects(this.#repo.files, storeOf(this.#repo), staged));
    } else this.#worker.postMessage("begin");
  }

  /** Settles when all of them have their names. @throws what {@link nameObjects} throws. */
  done(): Promise<NamingReport> {
    assert(this.#report !== undefined, "naming was begun");
    return this.#report;
  }

  /** Ends the thread, when it has named what it was told to. */
  async close(): Promise<void> {
    if (this.#worker !== undefined) await endThread(this.#worker);
  }
}

function reportOf(worker: Worker): Promise<NamingReport> {
  return new Promise((resolve, reject) => {
    worker
      .on("message", (reply: NamingReply) =>
        reply.kind === "named" ? resolve(reply.report) : reject(failureOf(reply)),
      )
      .on("error", (error) => reject(threadError(error)))
      .on("exit", (status) => reject(new Error(`The thread that names objects ended with status ${status}`)));
  });
}
