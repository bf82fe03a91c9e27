import { OsdeployError } from "../core/errors.ts";
import { withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";

/**
 * The numbers that the thread which fetches a layer and the thread which imports it share: 64-bit counters in shared
 * memory, so that no message has to pass for each piece.
 */
export class LayerCounters {
  readonly memory: SharedArrayBuffer;
  readonly #slots: BigInt64Array<SharedArrayBuffer>;

  constructor(memory = new SharedArrayBuffer(3 * BigInt64Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#slots = new BigInt64Array(memory);
  }

  /** Bytes of the blob that lie in the file so far. */
  get available(): number {
    return Number(Atomics.load(this.#slots, slots.available));
  }

  set available(bytes: number) {
    Atomics.store(this.#slots, slots.available, BigInt(bytes));
    Atomics.notify(this.#slots, slots.available);
  }

  /** Bytes of the blob that were imported so far. */
  get imported(): number {
    return Number(Atomics.load(this.#slots, slots.imported));
  }

  set imported(bytes: number) {
    Atomics.store(this.#slots, slots.imported, BigInt(bytes));
  }

  /** Whether the import is to end where it is. */
  get stopped(): boolean {
    return Atomics.load(this.#slots, slots.stopped) !== 0n;
  }

  stop(): void {
    Atomics.store(this.#slots, slots.stopped, 1n);
    Atomics.notify(this.#slots, slots.available);
  }

  /** Begins anew, for a layer that has to be fetched once more. Nobody may be waiting. */
  reset(): void {
    for (const slot of Object.values(slots)) Atomics.store(this.#slots, slot, 0n);
  }

  /** Sleeps until more than `bytes` are available, or the import is stopped. Not for the main thread. */
  waitForMore(bytes: number): void {
    // The time limit only covers a stop that came between the check and the sleep.
    while (this.available <= bytes && !this.stopped) Atomics.wait(this.#slots, slots.available, BigInt(bytes), 200);
  }
}

const slots = { available: 0, imported: 1, stopped: 2 } as const;

/** A blob in a file, which may still be growing while it is read. */
export interface LayerFeed {
  readonly path: Path;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly counters: LayerCounters;
}

/** Measured: smaller pieces cost calls, larger ones leave the processor's cache. */
const pieceBytes = 256 * 1024;

/**
 * Hands all bytes of the blob to `use`, in order, waiting for those that are not there yet. The pieces share one buffer:
 * each is valid only during its call.
 *
 * @throws OsdeployError `interrupted` when it was told to stop; `bad-format` when the file ends early.
 */
export function readFeed(files: LinuxFiles, feed: LayerFeed, use: (piece: Uint8Array) => void): void {
  const buffer = new Uint8Array(pieceBytes);
  const { counters, lengthBytes, offsetBytes } = feed;
  withOpen(files, feed.path, "read", (fd) => {
    for (let done = 0; done < lengthBytes; counters.imported = done) {
      counters.waitForMore(done);
      if (counters.stopped) throw new OsdeployError("interrupted", "Stopped while a layer was being imported");
      const length = Math.min(buffer.length, counters.available - done);
      const got = files.read(fd, buffer, { offset: 0, length, position: offsetBytes + done });
      if (got === 0)
        throw new OsdeployError("bad-format", `Cannot read a layer: it ends after ${done} of ${lengthBytes} bytes`);
      use(buffer.subarray(0, got));
      done += got;
    }
  });
}
