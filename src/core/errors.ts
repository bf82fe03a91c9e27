/**
 * The closed set of error codes. A code exists only because some caller acts on it; each has one exit status
 * (`docs/reference/exit-status.md`).
 */
export type ErrorCode =
  | "usage"
  | "not-found"
  | "already-exists"
  | "bad-format"
  | "limit-exceeded"
  | "digest-mismatch"
  | "damaged"
  | "not-bootable"
  | "unsupported"
  | "permission-denied"
  | "no-space"
  | "busy"
  | "network"
  | "unauthorized"
  | "untrusted"
  | "system"
  | "interrupted";

/** What an error can carry besides its text: small values that a caller or `--json` may want. */
export type ErrorFacts = Readonly<Record<string, string | number | bigint | boolean>>;

/**
 * Something outside osdeploy is wrong: input, a file, a registry, the machine.
 *
 * The message says what was being done, to what, and why not: `Cannot VERB OBJECT: STATE`. A broken invariant of
 * osdeploy itself is not one of these: see {@link assert}.
 */
export class OsdeployError extends Error {
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;

  constructor(code: ErrorCode, message: string, options: { facts?: ErrorFacts; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "OsdeployError";
    this.code = code;
    this.facts = options.facts ?? {};
  }
}

/** What `act` gives; undefined where it throws an {@link OsdeployError} of `code`. What else it throws goes on. */
export function unless<T>(code: ErrorCode, act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (error instanceof OsdeployError && error.code === code) return undefined;
    throw error;
  }
}

/** What `act` gives; undefined where something outside is wrong: for what is as good as not there then. A bug goes on. */
export function unlessFailing<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (error instanceof OsdeployError) return undefined;
    throw error;
  }
}

/**
 * States what is always true here. `sentence` is that truth in words; it is only read when it turned out false, which
 * is a bug of osdeploy.
 *
 * @throws Error (not an `OsdeployError`) when `condition` is false.
 */
export function assert(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new Error(`This should always be true, and is not: ${sentence}`);
}
