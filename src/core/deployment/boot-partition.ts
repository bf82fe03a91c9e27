import { type BootEntry, bootEntryId } from "../boot/boot-menu.ts";
import { type BootedRoot, isSoftRebooted } from "./booted-root.ts";
import { hasEntry, type SysrootState } from "./deployment.ts";

/** What a sysroot and the menu that was read with it have to do with each other. */
export type BootPartitionVerdict =
  /** What runs is in the menu; of a sysroot at rest, any of its deployments. */
  | "found"
  /** At rest, and nothing is deployed: any menu will do. */
  | "fresh"
  /** At rest, without an entry, on a boot partition that kernels were put on: the first deployment was not finished. */
  | "unfinished"
  /** At rest, with deployments that no entry starts, and nothing says that kernels ever were there. */
  | "no-entries"
  /** Another file system than the one that it was booted from is mounted, or another sysroot's. */
  | "other"
  /** The running system has no boot partition mounted, and what started it is not in the directory either. */
  | "not-mounted";

/** What is known of the place where the menu was read. */
export interface BootPlace {
  /** Whether a file system is mounted there, as far as the running system goes. */
  readonly isMounted: boolean;
  /** Whether there is a place for kernels: it is made before the first state directory, and never removed. */
  readonly hasKernelStore: boolean;
}

/**
 * Judges whether a menu is that of the sysroot. Deployments that no entry starts are garbage: in the wrong menu that is all of
 * them. What another program's entry starts counts as well.
 *
 * Every deployment's kernel is durable before its state directory has a name. So where there are state directories and no
 * place for kernels, this is not the partition on which they began.
 */
export function judgeBootPartition(state: SysrootState, place: BootPlace): BootPartitionVerdict {
  const { booted, menu, deployments, heldByOthers } = state;
  if (booted !== undefined) {
    if (heldByOthers.has(booted.rootImage) || menu.entries.some((entry) => isStarter(booted, entry))) return "found";
    return place.isMounted ? "other" : "not-mounted";
  }
  if (deployments.length === 0) return "fresh";
  if (deployments.some((each) => hasEntry(state, each))) return "found";
  if (menu.entries.length > 0) return "other";
  return place.hasKernelStore ? "unfinished" : "no-entries";
}

/** Another program's entries have no number of ours; after a soft reboot the command line tells of the boot before. */
function isStarter(booted: BootedRoot, { sequence, rootImage }: BootEntry): boolean {
  const { entryId } = booted;
  if (entryId !== undefined && bootEntryId(sequence) === entryId) return true;
  return (entryId === undefined || isSoftRebooted(booted)) && rootImage === booted.rootImage;
}

/** What has to be in the menu of a running system, in words. */
export function starterOf({ entryId, rootImage }: BootedRoot): string {
  return entryId ?? `an entry of root image ${rootImage}`;
}
