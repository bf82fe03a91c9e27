import { type ErrorCode, type ErrorFacts, OsdeployError } from "../core/errors.ts";

/** What a thread says of an error: its own values do not pass between threads. */
export type ThreadFailure =
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string; readonly facts: ErrorFacts }
  /** A bug: no `OsdeployError`. */
  | { readonly kind: "broken"; readonly stack: string };

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
