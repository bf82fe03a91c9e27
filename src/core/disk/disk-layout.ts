import { countBytes } from "../bytes/byte-count.ts";
import { OsdeployError } from "../errors.ts";
import { tableBytes } from "./gpt.ts";

/** Where the partitions of a new disk lie, in bytes. */
export interface DiskLayout {
  readonly diskBytes: number;
  /** The EFI system partition, where the boot partition is another one. */
  readonly esp?: Extent;
  readonly boot: Extent;
  readonly root: Extent;
}

export interface Extent {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/** What a disk is to hold. */
export interface DiskDemand {
  /** The disk's size; undefined for a file that is as large as is good. */
  readonly diskBytes: number | undefined;
  readonly sectorBytes: number;
  /** The EFI system partition, where the boot partition is not to be it. */
  readonly esp?: { readonly sizeBytes: number; readonly neededBytes: number } | undefined;
  /** The size of the boot partition. */
  readonly bootBytes: number;
  /** The size of the root partition; all the rest when undefined. */
  readonly rootBytes: number | undefined;
  /** What will be on each partition, with all that the file system itself needs. */
  readonly neededBootBytes: number;
  readonly neededRootBytes: number;
}

const mebibyte = 1024 * 1024;
const gibibyte = 1024 * mebibyte;
/** Partitions start at whole ones: every kind of disk likes that. */
const alignmentBytes = mebibyte;

/**
 * Decides where the partitions go: that of the firmware first, then the boot partition where it is another one, then root.
 *
 * A file of no given size gets room for a second system and 1 GiB more: it is sparse, and costs only what is in it.
 *
 * @throws OsdeployError `no-space` when the disk or a partition is too small for what is to be on it.
 */
export function planDiskLayout(demand: DiskDemand): DiskLayout {
  const { neededBootBytes, neededRootBytes } = demand;
  checkRoom("boot partition", demand.bootBytes, neededBootBytes);
  checkRoom("root partition", demand.rootBytes ?? neededRootBytes, neededRootBytes);
  const esp = demand.esp && espExtent(demand.esp);
  const bootOffset = esp === undefined ? alignmentBytes : esp.offsetBytes + esp.sizeBytes;
  const boot = { offsetBytes: bootOffset, sizeBytes: roundUp(demand.bootBytes, alignmentBytes) };
  const rootOffset = boot.offsetBytes + boot.sizeBytes;
  const { end } = tableBytes(demand.sectorBytes);
  const wantedRoot = demand.rootBytes ?? 2 * neededRootBytes + gibibyte;
  const endBytes = roundUp(end, alignmentBytes);
  const diskBytes =
    demand.diskBytes === undefined
      ? roundUp(rootOffset + wantedRoot + endBytes, demand.rootBytes === undefined ? gibibyte : alignmentBytes)
      : roundDown(demand.diskBytes, demand.sectorBytes);
  const rest = roundDown(diskBytes - end, alignmentBytes) - rootOffset;
  const needed = rootOffset + neededRootBytes + endBytes;
  if (rest < neededRootBytes) throw tooSmall("disk", diskBytes, needed);
  const rootBytes = demand.rootBytes === undefined ? rest : roundUp(demand.rootBytes, alignmentBytes);
  if (rootBytes > rest) throw tooSmall("disk", diskBytes, rootOffset + rootBytes + endBytes);
  return { diskBytes, ...(esp && { esp }), boot, root: { offsetBytes: rootOffset, sizeBytes: rootBytes } };
}

function espExtent({ sizeBytes, neededBytes }: NonNullable<DiskDemand["esp"]>): Extent {
  checkRoom("EFI system partition", sizeBytes, neededBytes);
  return { offsetBytes: alignmentBytes, sizeBytes: roundUp(sizeBytes, alignmentBytes) };
}

function checkRoom(what: string, sizeBytes: number, neededBytes: number): void {
  if (sizeBytes < neededBytes) throw tooSmall(what, sizeBytes, neededBytes);
}

function tooSmall(what: string, sizeBytes: number, neededBytes: number): OsdeployError {
  const state = `${countBytes(neededBytes)} are needed, the ${what} has ${countBytes(Math.max(sizeBytes, 0))}`;
  return new OsdeployError("no-space", `Cannot install: ${state}`, { facts: { neededBytes, sizeBytes } });
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function roundDown(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}
