import { OsdeployError } from "../core/errors.ts";
import type { Linux } from "../linux/linux.ts";
import type { ReportProgress } from "./progress.ts";

/** What every operation works with. */
export interface System {
  readonly linux: Linux;
  readonly progress: ReportProgress;
  /** Aborted when the user or the machine wants an end; the operation then stops as soon as nothing is half done. */
  readonly signal: AbortSignal;
  /** Worker threads for contents; with 0 all is done on the calling thread, under whatever `linux` is given. */
  readonly importThreads: number;
}

/**
 * Ends an operation that was asked to stop, at a point where nothing is half done.
 *
 * @throws OsdeployError `interrupted` when the signal was aborted.
 */
export function checkInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new OsdeployError("interrupted", "Stopped as asked: nothing is half done");
}
