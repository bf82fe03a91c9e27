import { countBytes } from "../bytes/byte-count.ts";
import { OsdeployError } from "../errors.ts";
import type { BootEntry, BootMenu } from "./boot-menu.ts";
import { bootDigestOfEntry, kernelFileNames, type StoredKernelSize, unusedKernels } from "./kernel-files.ts";

/** What has to be known before a kernel is copied to the boot partition. */
export interface BootSpaceRequest {
  readonly menu: BootMenu;
  readonly kernels: readonly StoredKernelSize[];
  /** The kernel of the new deployment, with the sizes of its files. */
  readonly newKernel: { readonly bootDigest: string; readonly vmlinuzBytes: number; readonly initramfsBytes: number };
  /** Sequence numbers of the entries that must stay: of the booted and default deployments, the way back, and what a gc keeps besides. */
  readonly protectedEntries: ReadonlySet<number>;
  /** The boot digests that entries of other programs name, among other digests: those kernels stay. */
  readonly heldByOthers: ReadonlySet<string>;
  readonly availableBytes: number;
  /** The unit in which files take space; the largest of vfat, 32 KiB, when not given. */
  readonly clusterBytes?: number;
}

/** How a new kernel gets onto the boot partition. */
export interface BootSpacePlan {
  /** What the new files take on the partition, entry and directories included; 0 kernels when the kernel is there. */
  readonly neededBytes: number;
  /** What of it is free now. */
  readonly availableBytes: number;
  /** To be removed first, oldest first; then the kernels, in this order. Empty when everything fits. */
  readonly removeEntries: readonly BootEntry[];
  readonly removeKernels: readonly string[];
  /** What at least is free after the removals, before the first byte is copied. */
  readonly freedBytes: number;
}

/** What a file on FAT is rounded up to, where the clusters are not known. */
export const largestClusterBytes: number = 32 * 1024;

/** For the entry, the directories and the loader's menu, under their temporary names too. */
const smallFiles = 8;

/**
 * Decides whether a new kernel fits onto the boot partition, and what may go first: kernels that no entry names, then the
 * oldest deployments' entries and kernels. No more than needed, and nothing protected.
 *
 * Sizes are rounded up where space is taken and not where it is freed, so that what is planned to fit fits. The removals
 * come before the first copy: their sum is the peak.
 *
 * @throws OsdeployError `no-space` with the numbers when it cannot fit.
 */
export function planBootSpace(request: BootSpaceRequest): BootSpacePlan {
  const { availableBytes } = request;
  const neededBytes = bytesNeeded(request);
  const removals: Removal[] = [];
  let freedBytes = 0;
  for (const removal of possibleRemovals(request)) {
    if (neededBytes <= availableBytes + freedBytes) break;
    removals.push(removal);
    freedBytes += removal.freedBytes;
  }
  if (neededBytes > availableBytes + freedBytes) throw noSpace(neededBytes, availableBytes, freedBytes);
  const removeEntries = removals.flatMap(({ entries }) => entries).sort((a, b) => a.sequence - b.sequence);
  return {
    neededBytes,
    availableBytes,
    removeEntries,
    removeKernels: removals.map(({ bootDigest }) => bootDigest),
    freedBytes,
  };
}

interface Removal {
  readonly bootDigest: string;
  readonly entries: readonly BootEntry[];
  readonly freedBytes: number;
}

function bytesNeeded({ kernels, newKernel, clusterBytes = largestClusterBytes }: BootSpaceRequest): number {
  const { bootDigest, vmlinuzBytes, initramfsBytes } = newKernel;
  const sizes = [vmlinuzBytes, initramfsBytes];
  const there = kernels.find((kernel) => kernel.bootDigest === bootDigest)?.files ?? [];
  const isThere = kernelFileNames.every((name, index) =>
    there.some((file) => file.name === name && file.sizeBytes === sizes[index]),
  );
  const rounded = (isThere ? [] : sizes).map((size) => Math.ceil(size / clusterBytes) * clusterBytes);
  return rounded.reduce((sum, size) => sum + size, smallFiles * clusterBytes);
}

/** Unused kernels first, then those whose newest entry is oldest, each with all its entries. */
function possibleRemovals(request: BootSpaceRequest): readonly Removal[] {
  const { menu, kernels, newKernel, protectedEntries, heldByOthers } = request;
  const unused = new Set(unusedKernels(kernels, menu.entries, heldByOthers));
  return kernels
    .filter(({ bootDigest }) => bootDigest !== newKernel.bootDigest && !heldByOthers.has(bootDigest))
    .map(({ bootDigest, files }) => ({
      bootDigest,
      entries: menu.entries.filter((entry) => bootDigestOfEntry(entry) === bootDigest),
      freedBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    }))
    .filter(({ entries }) => entries.every(({ sequence }) => !protectedEntries.has(sequence)))
    .sort((a, b) => newestOf(a, unused) - newestOf(b, unused));
}

function newestOf({ bootDigest, entries }: Removal, unused: ReadonlySet<string>): number {
  return unused.has(bootDigest) ? 0 : Math.max(...entries.map(({ sequence }) => sequence));
}

function noSpace(neededBytes: number, availableBytes: number, freeableBytes: number): OsdeployError {
  const free = `${countBytes(availableBytes)} are free, and ${countBytes(freeableBytes)} more at most once old deployments are removed`;
  const state = `${countBytes(neededBytes)} are needed on the boot partition, ${free}`;
  return new OsdeployError("no-space", `Cannot store the kernel: ${state}`, {
    facts: { neededBytes, availableBytes, freeableBytes },
  });
}
