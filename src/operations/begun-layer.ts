import type { FetchRange } from "../core/oci/plan-partial-pull.ts";
import type { ResolvedLayer } from "../image-source/image-source.ts";
import type { Path } from "../linux/linux.ts";
import type { KeptRanges } from "../repo/kept-ranges.ts";
import type { RangeFetcher } from "./fetch-ranges.ts";
import type { Lane } from "./import-lane.ts";
import type { LayerCounters } from "./layer-feed.ts";
import type { BroughtLayer } from "./layer-stage.ts";
import { PartialCounters } from "./partial-counters.ts";
import type { PartialJob, WholeInstead } from "./partial-stage.ts";

/** What a layer that comes in parts is begun with. */
export interface BegunParts {
  readonly layer: ResolvedLayer;
  readonly partial: PartialJob;
  readonly ranges: readonly FetchRange[];
  /** Where they go. */
  readonly rangeDirectory: Path;
  readonly kept: KeptRanges | undefined;
  /** Where the layer's index is to be written. */
  readonly index: Path;
}

/** A layer of which parts are being fetched: planned, and not put together yet. Stop it in any case. */
export class BegunLayer {
  readonly bytes: number;
  /** Settles when the first bytes are there, or nothing more comes. */
  readonly answered: Promise<void>;
  /** Settles when nothing is being fetched any more; fails with what ended the fetching. */
  readonly fetched: Promise<void>;
  readonly #parts: BegunParts;
  readonly #counters: PartialCounters;

  constructor(fetcher: RangeFetcher, parts: BegunParts) {
    const { layer, ranges, rangeDirectory: directory, kept } = parts;
    this.bytes = ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    this.#parts = parts;
    this.#counters = PartialCounters.for(ranges.length);
    let onAnswer = () => {};
    const answer = new Promise<void>((done) => {
      onAnswer = done;
    });
    this.fetched = fetcher.fetchFiles(layer, ranges, { directory, counters: this.#counters, kept, onAnswer });
    // Whoever puts the layer together sees a failure; until then it must not count as unhandled.
    const ended = this.fetched.catch(() => {});
    this.answered = Promise.race([answer, ended]);
  }

  /** Puts the layer together while its parts come, which ends the fetching in any case. */
  async assemble(
    lane: Lane,
    { halted, progress }: { readonly halted: AbortSignal; readonly progress: LayerCounters },
  ): Promise<BroughtLayer | WholeInstead> {
    const stop = () => this.stop();
    halted.addEventListener("abort", stop);
    if (halted.aborted) stop();
    const { partial, ranges, rangeDirectory, index } = this.#parts;
    const memories = { counters: this.#counters.memory, progress: progress.memory };
    const job = { partial, ranges, rangeDirectory, index, ...memories };
    try {
      const [imported] = await Promise.allSettled([lane.assemblePartial(job, this.fetched)]);
      // What is still being fetched then, nobody waits for.
      stop();
      await this.fetched;
      if (imported.status === "rejected") throw imported.reason;
      return imported.value;
    } finally {
      halted.removeEventListener("abort", stop);
    }
  }

  /** Ends the fetching, without error. */
  stop(): void {
    this.#counters.stop();
  }
}
