import { assert } from "../core/errors.ts";
import { LinkMeter } from "../core/oci/link-meter.ts";
import type { FetchRange } from "../core/oci/plan-partial-pull.ts";
import type { ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { type KeptRanges, rangePath } from "../repo/kept-ranges.ts";
import { openToAppend } from "../repo/partial-layer.ts";
import type { PartialCounters } from "./partial-counters.ts";

/** Requests for parts of blobs that are under way at the same time. */
export const requestsInFlight = 6;

/** Fetches parts of blobs, a few at a time, in the order in which they were asked for. Measures the link by the way. */
export class RangeFetcher {
  readonly #linux: Pick<Linux, "files" | "clock">;
  readonly #source: ImageSource;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  /** What is measured of the link. */
  readonly meter: LinkMeter;

  constructor(linux: Pick<Linux, "files" | "clock">, source: ImageSource, meter = new LinkMeter()) {
    this.#linux = linux;
    this.#source = source;
    this.meter = meter;
  }

  /** A part of a blob, in memory; by way of a file where that is `kept`. */
  async fetchBytes(layer: ResolvedLayer, range: FetchRange, kept?: KeptRanges): Promise<Uint8Array> {
    return this.#inTurn(async () => {
      if (kept !== undefined) {
        await this.#fetchFile(layer, range, { directory: kept.directory, kept, onBytes: () => true });
        return readRange(this.#linux.files, rangePath(kept.directory, range), range.lengthBytes);
      }
      const bytes = new Uint8Array(range.lengthBytes);
      let at = 0;
      for await (const piece of this.#read(layer, range)) {
        bytes.set(piece, at);
        at += piece.length;
      }
      return bytes;
    });
  }

  /**
   * Parts of a blob, each in a file of its own, which goes on where an earlier run ended. Nothing is fetched that is `kept`
   * from earlier runs. Ends early, without error, when `counters` were told to stop.
   */
  async fetchFiles(layer: ResolvedLayer, ranges: readonly FetchRange[], target: FilesTarget): Promise<void> {
    const { counters } = target;
    const fetches = ranges.map((range, number) =>
      this.#inTurn(async () => {
        if (counters.stopped) return;
        const onBytes = (bytes: number) => {
          counters.setAvailable(number, bytes);
          if (bytes > 0) target.onAnswer?.();
          return !counters.stopped;
        };
        try {
          await this.#fetchFile(layer, range, { ...target, onBytes });
        } catch (error) {
          counters.stop();
          throw error;
        }
      }),
    );
    const failed = (await Promise.allSettled(fetches)).find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  async #fetchFile(layer: ResolvedLayer, range: FetchRange, target: RangeTarget): Promise<void> {
    const { directory, kept, onBytes } = target;
    const { files } = this.#linux;
    const fd = openToAppend(files, rangePath(directory, range));
    try {
      const end = range.offsetBytes + range.lengthBytes;
      let at = range.offsetBytes + Math.min(files.fstat(fd).sizeBytes, range.lengthBytes);
      onBytes(at - range.offsetBytes);
      while (at < end) {
        const copied = kept?.copy({ offsetBytes: at, lengthBytes: end - at }, fd) ?? 0;
        at += copied;
        if (!onBytes(at - range.offsetBytes)) return;
        if (copied > 0) continue;
        const stop = Math.min(end, kept?.nextAfter(at) ?? end);
        for await (const piece of this.#read(layer, { offsetBytes: at, lengthBytes: stop - at })) {
          files.write(fd, piece);
          at += piece.length;
          if (!onBytes(at - range.offsetBytes)) return;
        }
        assert(at === stop, "a source gives the bytes that it is asked for, or fails");
      }
    } finally {
      files.close(fd);
    }
  }

  #read(layer: ResolvedLayer, range: FetchRange): AsyncIterable<Uint8Array> {
    return measured(this.#source.readBlobRange(layer, range), this.meter, this.#linux.clock);
  }

  /** Runs `fetch` as soon as fewer than {@link requestsInFlight} are running. */
  async #inTurn<T>(fetch: () => Promise<T>): Promise<T> {
    if (this.#running < requestsInFlight) this.#running++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await fetch();
    } finally {
      const next = this.#waiting.shift();
      // Who waits takes over the turn: were it free for a moment, somebody else could take it as well.
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

/** The same pieces; what of their coming tells of the link goes to `meter`. */
export async function* measured(
  pieces: AsyncIterable<Uint8Array>,
  meter: LinkMeter,
  clock: Linux["clock"],
): AsyncGenerator<Uint8Array> {
  const start = clock.now();
  let hasBegun = false;
  let hasAdded = false;
  try {
    for await (const piece of pieces) {
      const now = clock.now();
      if (hasBegun) {
        meter.add(piece.length);
        hasAdded = true;
      } else meter.begin(now, now - start);
      hasBegun = true;
      yield piece;
    }
  } finally {
    if (hasBegun) meter.end(clock.now(), hasAdded);
  }
}

/** Where the bytes of several ranges go. */
interface FilesTarget {
  readonly directory: Path;
  readonly counters: PartialCounters;
  readonly kept?: KeptRanges | undefined;
  /** Called when there are bytes of any of them, and then again and again. */
  readonly onAnswer?: () => void;
}

/** Where the bytes of a range go. */
interface RangeTarget {
  readonly directory: Path;
  readonly kept?: KeptRanges | undefined;
  /** Told how many bytes are in the file; says whether to go on. */
  readonly onBytes: (bytes: number) => boolean;
}

/** The first bytes of a file, which may have more. */
function readRange(files: LinuxFiles, path: Path, lengthBytes: number): Uint8Array {
  return files.readFile(path, files.lstat(path).sizeBytes).subarray(0, lengthBytes);
}
