import { type BootEntry, type BootMenu, isExhausted } from "../boot/boot-menu.ts";
import type { ManifestDigest } from "../digest/oci-digest.ts";
import { OsdeployError } from "../errors.ts";
import { type BootedRoot, isSoftRebooted } from "./booted-root.ts";
import { bootedDeployment, findDeployment, type Origin, type SysrootState, startedEntry } from "./deployment.ts";
import { findQuarantine } from "./plan-switch.ts";

/** An image whose boots used up all tries of a boot entry. */
export interface FailedBoot {
  readonly entry: BootEntry;
  readonly origin: Origin;
}

/** What a good boot brings about. */
export interface BootCompletePlan {
  /** The entry that the loader started; undefined when it is gone or another program's, and after a soft reboot. */
  readonly entry: BootEntry | undefined;
  /** Whether it has counters to be taken away. */
  readonly bless: boolean;
  /**
   * Whether the loader counted this boot: it says so, or the counter of the entry has moved. `unknown` where there was
   * nothing to count, or nobody says anything of an entry that has been blessed already.
   */
  readonly counting: "counted" | "not-counted" | "unknown";
  /** What goes into quarantine. */
  readonly failed: readonly FailedBoot[];
  /** What was given up for damage on this disk: the image is as good as before, and another copy of it may boot. */
  readonly damaged: readonly FailedBoot[];
  /** What has just proved to be good, and was in quarantine. */
  readonly lift: ManifestDigest | undefined;
}

/**
 * Decides what follows from a boot that was good.
 *
 * @throws OsdeployError `not-found` when this machine was not booted from a deployment of this sysroot.
 */
export function planBootComplete(state: SysrootState): BootCompletePlan {
  const { booted } = state;
  const deployment = bootedDeployment(state);
  if (booted === undefined || deployment === undefined) {
    throw new OsdeployError("not-found", "Cannot complete the boot: this system does not run from a deployment");
  }
  const entry = startedEntry(state);
  const failed = failedBoots(state);
  const isDamaged = (each: FailedBoot) => state.damagedEntries.has(each.entry.sequence);
  return {
    entry,
    bless: entry?.tries !== undefined,
    counting: entry === undefined ? "unknown" : countingOf(entry, booted, state.menu),
    failed: failed.filter((each) => !isDamaged(each)),
    damaged: failed.filter(isDamaged),
    // The kernel and initramfs of what a soft reboot took have not been tried.
    lift: isSoftRebooted(booted) ? undefined : findQuarantine(state, deployment.origin?.manifestDigest)?.manifestDigest,
  };
}

function countingOf(entry: BootEntry, booted: BootedRoot, menu: BootMenu): BootCompletePlan["counting"] {
  if (booted.counted) return "counted";
  if (entry.tries === undefined) return menu.areTriesLost === true ? "not-counted" : "unknown";
  // GRUB says that it counts before it knows whether that can be written.
  if (booted.triesLeft !== undefined) return booted.triesLeft === entry.tries.left ? "counted" : "not-counted";
  return entry.tries.done > 0 ? "counted" : "not-counted";
}

/** One for each image, with its newest entry; without those in quarantine, and without what runs now. */
function failedBoots(state: SysrootState): readonly FailedBoot[] {
  const failed = new Map<ManifestDigest, FailedBoot>();
  for (const entry of state.menu.entries) {
    if (!isExhausted(entry) || entry.rootImage === state.booted?.rootImage) continue;
    const origin = findDeployment(state, entry.rootImage)?.origin;
    if (origin === undefined || findQuarantine(state, origin.manifestDigest) !== undefined) continue;
    if (!failed.has(origin.manifestDigest)) failed.set(origin.manifestDigest, { entry, origin });
  }
  return [...failed.values()];
}
