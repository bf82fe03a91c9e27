import type { FetchRange } from "../core/oci/plan-partial-pull.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import { type KnownFileMemory, type KnownFiles, RootImageFiles } from "../repo/known-files.ts";
import type { LayerContent } from "../repo/layer-contents.ts";
import { type ImportedLayer, LayerImport, type LayerToImport } from "../repo/layer-import.ts";
import { ObjectStaging, type StagingOptions } from "../repo/object-staging.ts";
import { packStaged, type StagedObjects } from "../repo/staged-objects.ts";
import { LayerCounters, readFeed } from "./layer-feed.ts";
import {
  type AssemblyJob,
  assemblePartial,
  type ClaimJob,
  claimLayer,
  isPlanOf,
  type MeasureJob,
  measureLayer,
  type PartialJob,
  type PlannedPartial,
  planPartial,
  type WholeInstead,
} from "./partial-stage.ts";

/** One layer to import, as plain data that can be sent to a worker. */
export interface LayerJob {
  readonly layer: LayerToImport;
  readonly path: Path;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** The memory of {@link LayerCounters}. */
  readonly counters: SharedArrayBuffer;
  /** How to write down what its table of contents claims, for a layer that has one. */
  readonly claim?: ClaimJob;
}

/** An imported layer as it leaves the thread that imported it. */
export interface BroughtLayer extends Omit<ImportedLayer, "objects"> {
  readonly objects: StagedObjects;
}

/** What is to be fetched of a layer that comes in parts. */
export interface PlannedRanges {
  readonly kind: "ranges";
  readonly ranges: readonly FetchRange[];
}

/** What a layer is planned for. */
export interface PlanOptions {
  /** Others are put together before it, perhaps elsewhere: only its ranges are wanted, and a plan takes memory. */
  readonly isAhead: boolean;
}

/** Makes an imported layer ready to be handed to another thread. */
export function packLayer({ objects, ...layer }: ImportedLayer): BroughtLayer {
  return { ...layer, objects: packStaged(objects) };
}

/** Imports layers one after the other, on whatever thread it is made. */
export class LayerStage {
  readonly #files: LinuxFiles;
  readonly #staging: ObjectStaging;
  #known: KnownFiles | undefined;
  /** The plan of the layer that is to be put together next. */
  #planned: PlannedPartial | undefined;

  /** `staging` is plain data, so that it can be sent to a worker. */
  constructor(files: LinuxFiles, staging: StagingOptions) {
    this.#files = files;
    this.#staging = new ObjectStaging(files, staging, multiBufferHasher(staging.algorithm));
  }

  /** Takes the files of an image that is already here, as a hint for the layers that follow. */
  expect(known: KnownFileMemory): void {
    this.#known = new RootImageFiles(known);
  }

  /** Imports one layer. When it fails, nothing of it stays staged. */
  importLayer(job: LayerJob): BroughtLayer {
    const { path, offsetBytes, lengthBytes } = job;
    const contents: LayerContent[] = [];
    const layer = new LayerImport(this.#files, this.#staging, {
      ...job.layer,
      ...(this.#known && { known: this.#known }),
      ...(job.claim && { contents }),
    });
    try {
      const feed = { path, offsetBytes, lengthBytes, counters: new LayerCounters(job.counters) };
      readFeed(this.#files, feed, (piece) => layer.write(piece));
      const imported = layer.finish();
      if (job.claim !== undefined) {
        claimLayer(this.#files, this.#staging.algorithm, { job: job.claim, blob: job, contents });
      }
      return packLayer(imported);
    } finally {
      layer.close();
    }
  }

  /** Plans a layer that is to come in parts. Unless it is planned ahead, its plan is kept until it is put together. */
  planPartial(job: PartialJob, { isAhead }: PlanOptions): PlannedRanges | WholeInstead {
    const planned = planPartial(this.#staging, job);
    if (planned.kind === "whole") return planned;
    if (!isAhead) this.#planned = planned;
    return { kind: "ranges", ranges: planned.plan.ranges };
  }

  /** Puts a layer together that was planned, here or on another thread. When it fails, nothing of it stays staged. */
  assemblePartial(job: AssemblyJob): BroughtLayer | WholeInstead {
    const kept = this.#planned;
    this.#planned = undefined;
    const isKept = kept !== undefined && kept.job.layer.digest === job.partial.layer.digest;
    const planned = isKept ? kept : planPartial(this.#staging, job.partial);
    if (planned.kind === "whole") return planned;
    if (!isPlanOf(planned, job.ranges)) return { kind: "whole", problem: undefined, distrusted: [] };
    const result = assemblePartial(this.#files, this.#staging, planned, job);
    return "kind" in result ? result : packLayer(result);
  }

  /** Measures the contents of a layer that the repo has. */
  measure(job: MeasureJob): void {
    measureLayer(this.#files, this.#staging, job);
  }
}
