import { type ErrorCode, OsdeployError } from "../core/errors.ts";

/** The work is done. */
export const successStatus = 0;

/** A bug of osdeploy; also every failure of `osdeploy composefs`, as the programs that it stands in for have it. */
export const bugStatus = 1;

/** Nothing went wrong, and there is nothing new: only where a command was asked just that. */
export const unchangedStatus = 77;

/**
 * The exit status for each error code. Scripts depend on it: a number is never given another meaning.
 *
 * @see docs/reference/exit-status.md, which a test compares with this table
 */
export const exitStatuses: Readonly<Record<ErrorCode, number>> = {
  usage: 2,
  "not-found": 3,
  "already-exists": 4,
  "bad-format": 5,
  "limit-exceeded": 6,
  "digest-mismatch": 7,
  damaged: 8,
  "not-bootable": 9,
  unsupported: 10,
  "permission-denied": 11,
  "no-space": 12,
  busy: 13,
  network: 14,
  unauthorized: 15,
  system: 16,
  untrusted: 17,
  interrupted: 130,
};

/** The signals at which osdeploy stops cleanly. */
export type StopSignal = "SIGHUP" | "SIGINT" | "SIGTERM";

/** 128 and the signal's number, as shells have it. */
export const signalStatuses: Readonly<Record<StopSignal, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/** What the shell has for a program whose reader went away (128 + SIGPIPE). */
export const brokenPipeStatus = 141;

/** The exit status for whatever was thrown. */
export function exitStatusOf(error: unknown): number {
  return error instanceof OsdeployError ? exitStatuses[error.code] : bugStatus;
}
