/** What a link gave of late; both are 0 as long as nothing is known. */
export interface LinkSpeed {
  /** From a request to its first byte. */
  readonly latencySeconds: number;
  /** Of all answers together, from their first bytes on. */
  readonly bytesPerSecond: number;
}

/** How much a new sample counts against all before it. A busy machine makes answers late, and never early. */
const weights = { bandwidth: 0.3, laterAnswer: 0.1 } as const;
/** The first answers are late because a pull begins with much else to do; until there were so many, nothing is said. */
const leastAnswers = 8;
/** Fewer bytes say more of the latency than of the bandwidth. */
const sampleBytes = 16 * 1024;

/**
 * Measures a link by what is fetched over it, be it parts or whole layers: what was lately counts more than what was long
 * ago. Times are milliseconds of any clock that only goes forward.
 */
export class LinkMeter {
  readonly #isTold: boolean;
  #answers = 0;
  #latencyMs: number;
  #bytesPerMs: number | undefined;
  #running = 0;
  /** Since when the open sample runs, when answers are coming. */
  #since = 0;
  #openMs = 0;
  #openBytes = 0;

  /**
   * `latencyMs` is what answers took before there was much else to do, where that is known: then nothing is waited for, and
   * of the first answers those count that come earlier.
   */
  constructor(latencyMs?: number) {
    this.#isTold = latencyMs !== undefined;
    this.#latencyMs = latencyMs ?? Number.POSITIVE_INFINITY;
  }

  get speed(): LinkSpeed {
    if (!this.#isTold && this.#answers < leastAnswers) return { latencySeconds: 0, bytesPerSecond: 0 };
    return { latencySeconds: this.#latencyMs / 1000, bytesPerSecond: (this.#bytesPerMs ?? 0) * 1000 };
  }

  /** The first bytes of an answer came at `now`, so long after it was asked for. Call {@link end} in any case then. */
  begin(now: number, latencyMs: number): void {
    this.#answers++;
    if (latencyMs < this.#latencyMs) this.#latencyMs = latencyMs;
    else if (!this.#isTold || this.#answers > leastAnswers) {
      this.#latencyMs = smoothed(this.#latencyMs, latencyMs, weights.laterAnswer);
    }
    if (this.#running++ === 0) this.#since = now;
  }

  /** Bytes that came after the first ones, of any answer: how long those took nobody knows. */
  add(bytes: number): void {
    this.#openBytes += bytes;
  }

  /** An answer ends at `now`; `hasAdded` says whether any bytes came after its first ones. */
  end(now: number, hasAdded: boolean): void {
    this.#running--;
    // Its time would count, and its bytes do not.
    if (hasAdded || this.#running > 0) this.#openMs += now - this.#since;
    this.#since = now;
    if (this.#openBytes < sampleBytes) return;
    this.#bytesPerMs = smoothed(this.#bytesPerMs, this.#openBytes / Math.max(this.#openMs, 1), weights.bandwidth);
    this.#openMs = 0;
    this.#openBytes = 0;
  }
}

function smoothed(before: number | undefined, sample: number, weight: number): number {
  return before === undefined ? sample : before + weight * (sample - before);
}
