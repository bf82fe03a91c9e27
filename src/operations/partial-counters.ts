import { OsdeployError } from "../core/errors.ts";

const slots = { changes: 0, stopped: 1, ranges: 2 } as const;

/**
 * The numbers that the thread which fetches parts of a layer and the thread which puts it together share: 64-bit counters
 * in shared memory.
 */
export class PartialCounters {
  readonly memory: SharedArrayBuffer;
  readonly #slots: BigInt64Array<SharedArrayBuffer>;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#slots = new BigInt64Array(memory);
  }

  /** Counters for up to so many ranges. */
  static for(ranges: number): PartialCounters {
    return new PartialCounters(new SharedArrayBuffer((slots.ranges + ranges) * BigInt64Array.BYTES_PER_ELEMENT));
  }

  get stopped(): boolean {
    return Atomics.load(this.#slots, slots.stopped) !== 0n;
  }

  stop(): void {
    Atomics.store(this.#slots, slots.stopped, 1n);
    this.#tell();
  }

  /** Says that so many bytes of a range are in its file. */
  setAvailable(range: number, bytes: number): void {
    Atomics.store(this.#slots, slots.ranges + range, BigInt(bytes));
    this.#tell();
  }

  /**
   * Sleeps until so many bytes of a range are in its file. Not for the main thread, unless they are.
   *
   * @throws OsdeployError `interrupted` when it was told to stop.
   */
  waitFor(range: number, bytes: number): void {
    for (;;) {
      const changes = Atomics.load(this.#slots, slots.changes);
      this.throwIfStopped();
      if (Number(Atomics.load(this.#slots, slots.ranges + range)) >= bytes) return;
      Atomics.wait(this.#slots, slots.changes, changes);
    }
  }

  /** @throws OsdeployError `interrupted` when it was told to stop. */
  throwIfStopped(): void {
    if (this.stopped) throw new OsdeployError("interrupted", "Stopped while a layer was being put together");
  }

  #tell(): void {
    Atomics.add(this.#slots, slots.changes, 1n);
    Atomics.notify(this.#slots, slots.changes);
  }
}
