import { isMainThread, parentPort, workerData } from "node:worker_threads";
import type { ObjectId } from "../core/digest/object-id.ts";
import { assert, type ErrorCode, type ErrorFacts, OsdeployError } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { openLinux } from "../linux/live-linux.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import { DigestStore, type StoredContent } from "../repo/digest-store.ts";
import { serveRequests } from "./start-thread.ts";

/** A file whose content is to be stored; plain data. */
export interface FileToStore {
  readonly path: Path;
  readonly sizeBytes: number;
}

/** What a stage is made with; plain data, so that it can be handed to a worker. */
export interface ContentStageOptions {
  /** The path of a {@link DigestStore}. */
  readonly store: Path | undefined;
  /** Of names that are not final: other than that of any thread which fills the same store. */
  readonly temporarySuffix: string;
}

/** What a worker begins with. */
export interface ContentWorkerData {
  readonly options: ContentStageOptions;
  /** In shared memory; not 0 once the thread is to end. */
  readonly stopped: Int32Array<SharedArrayBuffer>;
}

/** What the main thread sends: files, any number of times, and then that there are no more. */
export type ContentRequest = readonly FileToStore[] | "end";

/** What a worker answers in the end. */
export type ContentReply =
  | { readonly kind: "done"; readonly ids: readonly ObjectId[] }
  /** Storing the file `index` of all that it was sent failed, or one of the small ones before it; it went no further. */
  | {
      readonly kind: "failed";
      readonly index: number;
      readonly code: ErrorCode;
      readonly message: string;
      readonly facts: ErrorFacts;
    }
  /** A bug: no `OsdeployError`. */
  | { readonly kind: "broken"; readonly index: number; readonly stack: string };

/** Stores the contents of files one after the other, on whatever thread it is made. */
export class ContentStage {
  readonly #store: DigestStore;
  readonly #contents: StoredContent[] = [];
  #failure: ContentReply | undefined;

  constructor(files: LinuxFiles, { store, temporarySuffix }: ContentStageOptions) {
    this.#store = new DigestStore(files, store, { hashBlocks: multiBufferHasher("sha256"), temporarySuffix });
  }

  /** Stores them all, or those before the first that fails. */
  add(files: readonly FileToStore[]): void {
    this.#attempt(() => {
      for (const { path, sizeBytes } of files) this.#contents.push(this.#store.add(path, sizeBytes));
    });
  }

  finish(): ContentReply {
    const ids: ObjectId[] = [];
    this.#attempt(() => {
      for (const { id } of this.#contents) ids.push(id);
    });
    return this.#failure ?? { kind: "done", ids };
  }

  #attempt(action: () => void): void {
    if (this.#failure !== undefined) return;
    try {
      action();
    } catch (error) {
      this.#failure = describe(error, this.#contents.length);
    }
  }
}

function describe(error: unknown, index: number): ContentReply {
  if (error instanceof OsdeployError) {
    return { kind: "failed", index, code: error.code, message: error.message, facts: error.facts };
  }
  return { kind: "broken", index, stack: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** Runs in a worker thread, with the live Linux. */
function serve(): void {
  const port = parentPort;
  assert(port !== null, "a worker has a parent");
  const { options, stopped } = workerData as ContentWorkerData;
  const stage = new ContentStage(openLinux().files, options);
  serveRequests(port, (request: ContentRequest) => {
    // What it was sent and has not begun with, nobody wants any more.
    if (Atomics.load(stopped, 0) !== 0) return;
    if (request !== "end") stage.add(request);
    else port.postMessage(stage.finish());
  });
}

if (!isMainThread) serve();
