import { fromText } from "../core/bytes/byte-string.ts";
import { element } from "../core/bytes/element.ts";
import type { VerityAlgorithm } from "../core/digest/object-id.ts";
import type { DiffId, LayerDigest } from "../core/digest/oci-digest.ts";
import { type ErrorCode, OsdeployError, unlessFailing } from "../core/errors.ts";
import {
  coveredBytes,
  type FetchRange,
  isWorthParts,
  type PartialPullPlan,
  planPartialPull,
  type RangeCosts,
} from "../core/oci/plan-partial-pull.ts";
import type { ChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import type { ChunkedToc } from "../core/oci/zstd-chunked-toc.ts";
import { withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import { childPath } from "../linux/path.ts";
import { readToc, tablesRange, unpackTarSplit } from "../repo/chunked-tables.ts";
import { isEmptyIndex, writeContentIndex } from "../repo/content-index-file.ts";
import { claimContents, measureContents, readContents } from "../repo/content-measure.ts";
import { ContentTable, type ContentTableMemory } from "../repo/content-table.ts";
import { FetchedFrames } from "../repo/fetched-frames.ts";
import { begunBytes, rangePath } from "../repo/kept-ranges.ts";
import { isAsClaimed, KnownContents } from "../repo/known-contents.ts";
import { LayerAssembly } from "../repo/layer-assembly.ts";
import type { LayerContent } from "../repo/layer-contents.ts";
import { defaultLayerLimits, type ImportedLayer } from "../repo/layer-import.ts";
import { newScratch } from "../repo/object-check.ts";
import type { ObjectStaging } from "../repo/object-staging.ts";
import { objectPath } from "../repo/repo-paths.ts";
import { LayerCounters } from "./layer-feed.ts";
import { PartialCounters } from "./partial-counters.ts";

/** A layer that is to come in parts, and is to be planned, as plain data that can be sent to a worker. */
export interface PartialJob {
  readonly layer: { readonly digest: LayerDigest; readonly diffId: DiffId; readonly sizeBytes: number };
  readonly tables: ChunkedTables;
  /** Both tables, as they lie in the blob. */
  readonly tableBytes: Uint8Array;
  /** What is known to be here. */
  readonly contents: ContentTableMemory;
  readonly costs: RangeCosts;
  /** Bytes of the blob that earlier runs have fetched. */
  readonly kept: readonly FetchRange[];
}

/** A layer of which parts are being fetched, as plain data that can be sent to a worker. */
export interface AssemblyJob {
  readonly partial: PartialJob;
  /** What is being fetched, by a plan of the same job. */
  readonly ranges: readonly FetchRange[];
  /** Where it lies. */
  readonly rangeDirectory: Path;
  /** Where the layer's index is to be written. */
  readonly index: Path;
  /** The memory of {@link PartialCounters}. */
  readonly counters: SharedArrayBuffer;
  /** The memory of {@link LayerCounters}, which tells how far the layer is. */
  readonly progress: SharedArrayBuffer;
}

/** A layer that is in the repo, whose contents are to be measured. */
export interface MeasureJob {
  readonly diffId: DiffId;
  readonly repoPath: Path;
  readonly splitstream: Path;
  /** Where the layer's index is to be written. */
  readonly index: Path;
}

/** A layer that came whole, and has a table of contents: its index can be made of what that claims. */
export interface ClaimJob {
  readonly tables: ChunkedTables;
  /** Where the layer's index is to be written. */
  readonly index: Path;
}

/** Why a layer has to come whole after all. */
export interface WholeInstead {
  readonly kind: "whole";
  /** What is wrong with the layer's tables or contents; undefined when nothing is. */
  readonly problem: string | undefined;
  /** Records of the index that claim what is not so. */
  readonly distrusted: readonly number[];
}

/** A layer that is planned; its plan's ranges are to be fetched now. */
export interface PlannedPartial {
  readonly kind: "planned";
  readonly job: PartialJob;
  readonly toc: ChunkedToc;
  readonly known: KnownContents;
  /** Known contents are records of `known`. */
  readonly plan: PartialPullPlan<number>;
}

/** Where the index of a layer is written before it gets its place. */
export function writtenIndexPath(directory: Path): Path {
  return childPath(directory, fromText("content-index"));
}

/** Decides what of a layer has to be fetched. */
export function planPartial(staging: ObjectStaging, job: PartialJob): PlannedPartial | WholeInstead {
  return orWhole(job, () => {
    const toc = readToc(job.tables, job.tableBytes);
    const known = new KnownContents(new ContentTable(job.contents), staging);
    const plan = planPartialPull(toc, (digest, sizeBytes) => known.find(digest, sizeBytes), job.costs);
    return isWorthwhile(job, plan)
      ? { kind: "planned", job, toc, known, plan }
      : { kind: "whole", problem: undefined, distrusted: [] };
  });
}

function isWorthwhile({ costs, kept, layer, tables }: PartialJob, { ranges }: PartialPullPlan<number>): boolean {
  if (costs.partsOnly) return true;
  const missing = ranges.map((range) => range.lengthBytes - coveredBytes(range, kept));
  const requests = missing.filter((bytes) => bytes > 0).length;
  const fetchBytes = missing.reduce((sum, bytes) => sum + bytes, 0);
  const whole = { fetchBytes: tables.toc.offsetBytes - begunBytes(layer, kept) };
  return isWorthParts({ requests, fetchBytes }, whole, costs.link);
}

/**
 * Whether a plan is the one by which `ranges` are being fetched. What was known when they were chosen can have turned out wrong
 * since, and is no longer known.
 */
export function isPlanOf(
  { plan }: { readonly plan: Pick<PartialPullPlan<number>, "ranges"> },
  ranges: readonly FetchRange[],
): boolean {
  const isSame = (range: FetchRange, other: FetchRange | undefined) =>
    range.offsetBytes === other?.offsetBytes && range.lengthBytes === other.lengthBytes;
  return plan.ranges.length === ranges.length && plan.ranges.every((range, i) => isSame(range, ranges[i]));
}

/** Puts a planned layer together while its ranges are being fetched. When it fails, nothing of it stays staged. */
export function assemblePartial(
  files: LinuxFiles,
  staging: ObjectStaging,
  planned: PlannedPartial,
  job: AssemblyJob,
): ImportedLayer | WholeInstead {
  const result = orWhole(planned.job, () => assemble(files, staging, planned, job));
  if (!("kind" in result) || result.problem === undefined) return result;
  return { ...result, distrusted: findWrongClaims(files, planned) };
}

function assemble(
  files: LinuxFiles,
  staging: ObjectStaging,
  { known, toc, plan }: PlannedPartial,
  job: AssemblyJob,
): ImportedLayer {
  const { partial, rangeDirectory } = job;
  const { layer, tables, tableBytes } = partial;
  const counters = new PartialCounters(job.counters);
  const progress = new LayerCounters(job.progress);
  const estimate = estimateTarBytes(toc);
  const frames = new FetchedFrames(files, {
    ranges: plan.ranges,
    pathOf: (range) => rangePath(rangeDirectory, element(plan.ranges, range)),
    waitFor: (range, bytes) => counters.waitFor(range, bytes),
  });
  const assembly = new LayerAssembly(
    files,
    staging,
    {
      ...{ diffId: layer.diffId, entries: toc.entries, contents: plan.contents, known },
      tarSplit: unpackTarSplit(tables, toc, tableBytes),
      tarBytesLimit: allowedTarBytes(plan, tableBytes),
      onProgress: (done) => {
        counters.throwIfStopped();
        progress.imported = Math.floor(Math.min(done / estimate, 1) * layer.sizeBytes);
      },
    },
    frames,
  );
  try {
    const imported = assembly.run();
    writeIndex(files, job.index, assembly.index());
    return imported;
  } finally {
    assembly.close();
    frames.close();
  }
}

/**
 * Bytes that the tar may have, by what is really here of it: nothing compares the size that the manifest says with bytes
 * when only parts of the blob are read.
 */
export function allowedTarBytes(
  plan: Pick<PartialPullPlan<number>, "knownBytes" | "fetchBytes">,
  tableBytes: Uint8Array,
): number {
  const { freeBytes, ratio, tarBytes } = defaultLayerLimits;
  return Math.min(tarBytes, freeBytes + plan.knownBytes + ratio * (plan.fetchBytes + tableBytes.length));
}

/** Each entry has a header and, on average, half a block of padding. */
function estimateTarBytes({ entries }: ChunkedToc): number {
  return entries.reduce((sum, { sizeBytes }) => sum + sizeBytes + 768, 1024);
}

/** The records of the index that led to contents of another sha256 than they claim. */
function findWrongClaims(files: LinuxFiles, { known, plan }: PlannedPartial): readonly number[] {
  const scratch = newScratch();
  return plan.contents.flatMap((content) =>
    content.flatMap((piece) => {
      if (piece.kind !== "known") return [];
      const claimed = { digest: piece.digest, sizeBytes: piece.sizeBytes, known: known.at(piece.known) };
      return isAsClaimed(files, claimed, scratch) ? [] : [piece.known];
    }),
  );
}

/** Measures the contents of a layer that the repo has, and writes its index. */
export function measureLayer(files: LinuxFiles, staging: ObjectStaging, job: MeasureJob): void {
  orWhole(undefined, () => {
    const contents = readContents(files, job.splitstream);
    const measured = measureContents(files, contents, {
      algorithm: staging.algorithm,
      hashBlocks: multiBufferHasher(staging.algorithm),
      pathOf: (id) => objectPath(job.repoPath, id),
    });
    writeIndex(files, job.index, writeContentIndex(staging.algorithm, measured));
    return undefined;
  });
}

/**
 * Writes the index of a layer that came whole, and lies in the file at `blob`, by what its table of contents claims of the
 * `contents` of its files.
 */
export function claimLayer(
  files: LinuxFiles,
  algorithm: VerityAlgorithm,
  {
    job,
    blob,
    contents,
  }: { readonly job: ClaimJob; readonly blob: BlobStart; readonly contents: readonly LayerContent[] },
): void {
  orWhole(undefined, () => {
    const toc = readToc(job.tables, readPart(files, blob, tablesRange(job.tables)));
    writeIndex(files, job.index, claimContents(algorithm, contents, toc));
    return undefined;
  });
}

/** Where a blob begins. */
export interface BlobStart {
  readonly path: Path;
  readonly offsetBytes: number;
}

/** Reads a part of a blob in a file. @throws OsdeployError `bad-format` when it ends before. */
export function readPart(files: LinuxFiles, blob: BlobStart, range: FetchRange): Uint8Array {
  const bytes = new Uint8Array(range.lengthBytes);
  withOpen(files, blob.path, "read", (fd) => {
    for (let offset = 0; offset < bytes.length; ) {
      const position = blob.offsetBytes + range.offsetBytes + offset;
      const got = files.read(fd, bytes, { offset, length: bytes.length - offset, position });
      if (got === 0) throw new OsdeployError("bad-format", "Cannot read a layer's table of contents: it is cut off");
      offset += got;
    }
  });
  return bytes;
}

/** Writes the index of a layer. That it cannot be written fails no layer: it is a cache. */
function writeIndex(files: LinuxFiles, index: Path, bytes: Uint8Array): void {
  if (isEmptyIndex(bytes)) return;
  // What there is of it then goes with the run's directory, or is found damaged.
  unlessFailing(() => files.writeNewFile(index, bytes, 0o644));
}

/** Errors of what was fetched or found here. With any of them the layer can still come whole. */
const problemCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "bad-format",
  "limit-exceeded",
  "unsupported",
  "digest-mismatch",
  "damaged",
  "not-found",
  "system",
]);

/** Whether an error only says that the layer cannot come in parts. */
export function isPartialProblem(error: unknown): error is OsdeployError {
  return error instanceof OsdeployError && problemCodes.has(error.code);
}

/** That this machine cannot read or write is told as it is where nothing else can be tried: the layer comes in parts only. */
function orWhole<T>(job: Pick<PartialJob, "costs"> | undefined, act: () => T): T | WholeInstead {
  try {
    return act();
  } catch (error) {
    const isOver = job?.costs.partsOnly === true && error instanceof OsdeployError && error.code === "system";
    if (!isOver && isPartialProblem(error)) return { kind: "whole", problem: error.message, distrusted: [] };
    throw error;
  }
}
