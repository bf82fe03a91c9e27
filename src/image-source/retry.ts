import { OsdeployError } from "../core/errors.ts";
import { PassingFailure } from "./http-failure.ts";

/** How often a request is made, and how long to wait in between. */
export interface RetryOptions {
  /** Tries in all, at least 1. */
  readonly tries: number;
  /** Before the second try; doubles with each further one. */
  readonly delayMs: number;
  /** A number from 0 to 1, new at each call. Many machines that lost one registry must not come back all at once. */
  readonly random: () => number;
  readonly signal: AbortSignal | undefined;
}

/** A server that asks to wait for longer than this is not waited for so long. */
const delayLimitMs = 60_000;

/** Does `attempt` until it succeeds, throws something that is no `PassingFailure`, or the tries are used up. */
export async function withRetries<T>(options: RetryOptions, attempt: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      await waitAfter(error, failures, options);
    }
  }
}

/** Waits before the next try; throws when there is none. `failures` counts from 1. */
export async function waitAfter(error: unknown, failures: number, options: RetryOptions): Promise<void> {
  if (!(error instanceof PassingFailure)) throw error;
  if (failures >= options.tries) throw error.reason;
  await pause(delayMs(error.waitMs, failures, options), options.signal);
}

/** Half of a delay is fixed, half is chance; what the server asks for is the least, and a little is added. */
function delayMs(askedMs: number | undefined, failures: number, { delayMs: base, random }: RetryOptions): number {
  const own = base * 2 ** (failures - 1) * (0.5 + random() / 2);
  return Math.min(askedMs === undefined ? own : askedMs + base * random(), delayLimitMs);
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new OsdeployError("interrupted", "Cannot go on fetching: it was interrupted"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
