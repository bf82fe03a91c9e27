import { Worker, type WorkerOptions } from "node:worker_threads";
import { type ErrorCode, type ErrorFacts, OsdeployError } from "../core/errors.ts";

/** What a thread says of an error: its own values do not pass between threads. */
export type ThreadFailure =
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string; readonly facts: ErrorFacts }
  /** A bug: no `OsdeployError`. */
  | { readonly kind: "broken"; readonly stack: string };

/** A thread of the program. @throws OsdeployError `system` when the kernel gives none. */
export function startThread(file: URL, options: WorkerOptions): Worker {
  try {
    return new Worker(file, options);
  } catch (error) {
    throw threadError(error);
  }
}

/**
 * The error of a thread that could not begin, or could not go on, as the thread's own `error` event tells it. What the kernel
 * refused, files or threads, is nobody's bug.
 */
export function threadError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof OsdeployError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const errno = /^E[A-Z0-9]+$/.test(code ?? "") ? code : /\bE[A-Z0-9]{3,}\b/.exec(error.message)?.[0];
  const isRefusal = code === "ERR_WORKER_INIT_FAILED" || code === errno;
  if (!isRefusal || errno === undefined) return error;
  return new OsdeployError("system", `Cannot start a thread: the kernel refused (${errno})`, {
    facts: { errno },
    cause: error,
  });
}

/** What is to be said of `error` to another thread. */
export function threadFailure(error: unknown): ThreadFailure {
  if (error instanceof OsdeployError) {
    return { kind: "failed", code: error.code, message: error.message, facts: error.facts };
  }
  return { kind: "broken", stack: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** The error that another thread told of. */
export function failureOf(failure: ThreadFailure): Error {
  if (failure.kind === "failed") return new OsdeployError(failure.code, failure.message, { facts: failure.facts });
  const error = new Error("A thread broke");
  error.stack = failure.stack;
  return error;
}
