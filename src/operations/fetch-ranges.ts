import type { FetchRange } from "../core/oci/plan-partial-pull.ts";
import type { ImageSource, ResolvedLayer } from "../image-source/image-source.ts";
import type { Linux, Path } from "../linux/linux.ts";
import type { KeptRanges } from "../repo/kept-ranges.ts";
import type { PartialCounters } from "./partial-counters.ts";
import { rangePath } from "./partial-stage.ts";

/** Requests for parts of blobs that are under way at the same time. */
export const requestsInFlight = 6;

/** Fetches parts of blobs, a few at a time, in the order in which they were asked for. Measures the link by the way. */
export class RangeFetcher {
  readonly #linux: Pick<Linux, "files" | "clock">;
  readonly #source: ImageSource;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #latencyMs = Number.POSITIVE_INFINITY;
  #bytes = 0;
  #busyMs = 0;

  constructor(linux: Pick<Linux, "files" | "clock">, source: ImageSource) {
    this.#linux = linux;
    this.#source = source;
  }

  /** What was measured so far: the fastest first byte, and bytes a second over all requests at once. */
  get link(): { readonly latencySeconds: number; readonly bytesPerSecond: number } {
    const perRequest = this.#busyMs === 0 ? 0 : (this.#bytes / this.#busyMs) * 1000;
    const latencyMs = Number.isFinite(this.#latencyMs) ? this.#latencyMs : 0;
    return { latencySeconds: latencyMs / 1000, bytesPerSecond: perRequest * requestsInFlight };
  }

  /** A part of a blob, in memory. */
  async fetchBytes(layer: ResolvedLayer, range: FetchRange): Promise<Uint8Array> {
    return this.#inTurn(async () => {
      const bytes = new Uint8Array(range.lengthBytes);
      let at = 0;
      for await (const piece of this.#read(layer, range)) {
        bytes.set(piece, at);
        at += piece.length;
      }
      return bytes;
    });
  }

  /** Parts of a blob, each in a file of its own; what is `kept` of them is not fetched again. Ends early, without error, when `counters` were told to stop. */
  async fetchFiles(
    layer: ResolvedLayer,
    ranges: readonly FetchRange[],
    target: { readonly directory: Path; readonly counters: PartialCounters; readonly kept?: KeptRanges },
  ): Promise<void> {
    const { directory, counters } = target;
    const fetches = ranges.map((range, number) =>
      this.#inTurn(async () => {
        if (counters.stopped) return;
        try {
          await this.#fetchFile(layer, range, { ...target, path: rangePath(directory, number), number });
        } catch (error) {
          counters.stop();
          throw error;
        }
      }),
    );
    const failed = (await Promise.allSettled(fetches)).find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  async #fetchFile(
    layer: ResolvedLayer,
    range: FetchRange,
    target: {
      readonly path: Path;
      readonly number: number;
      readonly counters: PartialCounters;
      readonly kept?: KeptRanges;
    },
  ): Promise<void> {
    const { path, number, counters, kept } = target;
    const { files } = this.#linux;
    const fd = files.open(path, "create", 0o600);
    try {
      let written = kept?.copy(range, fd) ?? 0;
      counters.setAvailable(number, written);
      if (written === range.lengthBytes) return;
      const rest = { offsetBytes: range.offsetBytes + written, lengthBytes: range.lengthBytes - written };
      for await (const piece of this.#read(layer, rest)) {
        if (counters.stopped) return;
        files.write(fd, piece);
        written += piece.length;
        counters.setAvailable(number, written);
      }
    } finally {
      files.close(fd);
    }
  }

  async *#read(layer: ResolvedLayer, range: FetchRange): AsyncGenerator<Uint8Array> {
    const start = this.#linux.clock.now();
    let first: number | undefined;
    for await (const piece of this.#source.readBlobRange(layer, range)) {
      first ??= this.#linux.clock.now();
      this.#bytes += piece.length;
      yield piece;
    }
    const end = this.#linux.clock.now();
    this.#latencyMs = Math.min(this.#latencyMs, (first ?? end) - start);
    this.#busyMs += Math.max(end - start, 1);
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
