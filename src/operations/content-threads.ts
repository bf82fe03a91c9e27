import type { Worker } from "node:worker_threads";
import { element } from "../core/bytes/element.ts";
import { OsdeployError } from "../core/errors.ts";
import { ObjectContent } from "../core/tree/object-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import {
  type ContentReply,
  type ContentRequest,
  ContentStage,
  type ContentStageOptions,
  type ContentWorkerData,
  type FileToStore,
} from "./content-worker.ts";
import { asManyAs, endThread, startThread, threadError } from "./start-thread.ts";

/** Less than this is stored sooner than threads have started. */
const leastFiles = 2000;
const leastBytes = 64 * 1024 * 1024;
/** Files are handed to a thread in parcels: each message has its price. */
const parcelFiles = 256;
const parcelBytes = 4 * 1024 * 1024;
/** What a file costs besides its bytes, in bytes that are measured and copied in the same time. */
const costOfFile = 32 * 1024;
/** Threads make little garbage; V8 would let each of them gather 48 MB of it before it looks. */
const youngGenerationMegabytes = 2;

/**
 * Stores the contents of files in threads, while the main thread goes on finding more. Where it finds little, or there
 * are to be no threads, the main thread does it in the end.
 *
 * {@link add} gives contents that {@link finish} fills in. Close it in any case.
 */
export class ContentThreads {
  readonly #files: LinuxFiles;
  readonly #store: Path | undefined;
  readonly #threads: number;
  #lanes: readonly Lane[] = [];
  /** What no lane has yet. */
  #parcel: PendingContent[] = [];
  #parcelBytes = 0;
  #bytes = 0;
  #count = 0;

  constructor(files: LinuxFiles, store: Path | undefined, threads: number) {
    this.#files = files;
    this.#store = store;
    this.#threads = threads;
  }

  /** Takes a file of more bytes than a root image holds itself. */
  add(file: FileToStore): ObjectContent {
    const content = new ObjectContent("", BigInt(file.sizeBytes));
    this.#parcel.push({ file, content, number: this.#count++ });
    this.#parcelBytes += file.sizeBytes;
    this.#bytes += file.sizeBytes;
    if (this.#lanes.length === 0 && this.#isWorthThreads()) this.#start();
    if (this.#lanes.length > 0 && this.#isParcelFull()) this.#send();
    return content;
  }

  /**
   * Waits until all is stored.
   *
   * @throws OsdeployError of the first file that could not be stored, roughly in the order of {@link add}.
   */
  async finish(): Promise<void> {
    if (this.#lanes.length > 0) this.#send();
    const lanes = this.#lanes.map(async (lane) => ({ pending: lane.pending, reply: await lane.finish() }));
    const done = this.#lanes.length > 0 ? await Promise.all(lanes) : [this.#storeHere()];
    const failures = done.flatMap(({ pending, reply }) =>
      reply.kind === "done" ? [] : [{ number: pending[reply.index]?.number ?? this.#count, error: errorOf(reply) }],
    );
    const [first] = failures.sort((a, b) => a.number - b.number);
    if (first !== undefined) throw first.error;
    for (const { pending, reply } of done) fillIn(pending, reply);
  }

  /** Ends the threads, each when it is done with the parcel in its hands; what they were sent besides is not stored. */
  async close(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.close()));
  }

  #storeHere(): Finished {
    const stage = new ContentStage(this.#files, this.#options(""));
    stage.add(this.#parcel.map(({ file }) => file));
    return { pending: this.#parcel, reply: stage.finish() };
  }

  #isWorthThreads(): boolean {
    return this.#threads > 1 && (this.#count >= leastFiles || this.#bytes >= leastBytes);
  }

  #isParcelFull(): boolean {
    return this.#parcel.length >= parcelFiles || this.#parcelBytes >= parcelBytes;
  }

  #start(): void {
    this.#lanes = asManyAs(this.#threads, (number) => new Lane(this.#options(String(number))));
  }

  #options(temporarySuffix: string): ContentStageOptions {
    return { store: this.#store, temporarySuffix };
  }

  /** To the lane with the least to do. */
  #send(): void {
    let least = element(this.#lanes, 0);
    for (const lane of this.#lanes) if (lane.cost < least.cost) least = lane;
    least.send(this.#parcel, this.#parcelBytes + costOfFile * this.#parcel.length);
    this.#parcel = [];
    this.#parcelBytes = 0;
  }
}

interface PendingContent {
  readonly file: FileToStore;
  readonly content: ObjectContent;
  /** Its place in the order of all files. */
  readonly number: number;
}

interface Finished {
  readonly pending: readonly PendingContent[];
  readonly reply: ContentReply;
}

/** Only here are these contents not what they will be: nobody has them before {@link ContentThreads.finish} is done. */
function fillIn(pending: readonly PendingContent[], reply: ContentReply): void {
  if (reply.kind !== "done") return;
  reply.ids.forEach((digest, i) => {
    Object.assign(element(pending, i).content, { digest });
  });
}

function errorOf(reply: Exclude<ContentReply, { readonly kind: "done" }>): Error {
  if (reply.kind === "failed") return new OsdeployError(reply.code, reply.message, { facts: reply.facts });
  const error = new Error("A thread that stores contents broke");
  error.stack = reply.stack;
  return error;
}

/** A thread, and what it was sent. */
class Lane {
  readonly pending: PendingContent[] = [];
  cost = 0;
  readonly #worker: Worker;
  readonly #stopped = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #reply: Promise<ContentReply>;

  constructor(options: ContentStageOptions) {
    const data: ContentWorkerData = { options, stopped: this.#stopped };
    this.#worker = startThread(new URL("./content-worker.js", import.meta.url), {
      workerData: data,
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMegabytes },
    });
    this.#reply = new Promise((resolve, reject) => {
      this.#worker.on("message", resolve).on("error", (error) => reject(threadError(error)));
      this.#worker.on("exit", (status) => reject(new Error(`A thread that stores contents ended with ${status}`)));
    });
    // It is awaited in the end; until then, the walk may fail first.
    this.#reply.catch(() => {});
  }

  send(parcel: readonly PendingContent[], cost: number): void {
    this.pending.push(...parcel);
    this.cost += cost;
    this.#post(parcel.map(({ file }) => file));
  }

  finish(): Promise<ContentReply> {
    this.#post("end");
    return this.#reply;
  }

  async close(): Promise<void> {
    Atomics.store(this.#stopped, 0, 1);
    await endThread(this.#worker);
  }

  #post(request: ContentRequest): void {
    this.#worker.postMessage(request);
  }
}
