import { type BootEntry, isExhausted } from "../boot/boot-menu.ts";
import type { ObjectId } from "../digest/object-id.ts";
import type { ManifestDigest } from "../digest/oci-digest.ts";
import {
  bootedDeployment,
  bootedEntry,
  type Deployment,
  isRollbackQueued,
  nextEntry,
  type SysrootState,
  wayBack,
} from "./deployment.ts";
import { findQuarantine } from "./plan-switch.ts";

/** Which deployments go, and what goes with them; in the order in which it is removed. */
export interface DeploymentGcPlan {
  /** Boot entries of deployments that go, entries that a newer one of the same deployment replaces, and orphans. */
  readonly entries: readonly BootEntry[];
  /** Deployments whose state directories go. */
  readonly deployments: readonly Deployment[];
  /** Those that stay. */
  readonly kept: readonly Deployment[];
  /** The manifests that the repo keeps for deployments. */
  readonly manifests: ReadonlySet<ManifestDigest>;
}

/**
 * Decides which deployments are no longer needed. What is booted, the default, staged and the way back stay, and `keep` more, the
 * newest. So does what other programs' entries start, and what failed until it is in quarantine: nothing else remembers it.
 */
export function planDeploymentGc(state: SysrootState, { keep }: { readonly keep: number }): DeploymentGcPlan {
  const needed = neededRootImages(state);
  const spare = state.deployments.filter(({ rootImage, entries }) => !needed.has(rootImage) && entries.length > 0);
  const keptToo = new Set(spare.slice(0, keep).map(({ rootImage }) => rootImage));
  const isKept = ({ rootImage }: Deployment) => needed.has(rootImage) || keptToo.has(rootImage);
  const kept = state.deployments.filter(isKept);
  const deployments = state.deployments.filter((deployment) => !isKept(deployment));
  const keptEntries = new Set(kept.flatMap((deployment) => entriesToKeep(state, deployment)));
  const origins = [...kept.map(({ origin }) => origin), state.staged?.origin];
  return {
    entries: state.menu.entries.filter((entry) => !keptEntries.has(entry)).reverse(),
    deployments,
    kept,
    manifests: new Set(origins.flatMap((origin) => (origin === undefined ? [] : [origin.manifestDigest]))),
  };
}

function neededRootImages(state: SysrootState): ReadonlySet<ObjectId> {
  const unjudged = state.deployments.filter((deployment) =>
    deployment.entries.some((entry) => isUnjudged(state, deployment, entry)),
  );
  const needed = [bootedDeployment(state), nextEntry(state), state.staged, wayBack(state)?.deployment, ...unjudged];
  return new Set([...needed.flatMap((each) => (each === undefined ? [] : [each.rootImage])), ...state.heldByOthers]);
}

/** An entry that the loader has given up, and that no record of the quarantine tells of yet; none does of damage. */
function isUnjudged(state: SysrootState, { rootImage, origin }: Deployment, entry: BootEntry): boolean {
  if (!isExhausted(entry) || origin === undefined || rootImage === state.booted?.rootImage) return false;
  if (state.damagedEntries.has(entry.sequence)) return false;
  return findQuarantine(state, origin.manifestDigest) === undefined;
}

/** Of a deployment that stays: its newest entry that can boot, and those that the machine or the user still needs. */
function entriesToKeep(state: SysrootState, deployment: Deployment): readonly BootEntry[] {
  const { entries } = deployment;
  // The second rollback finds the first one by the older entry of the same deployment.
  if (isRollbackQueued(state)) return entries;
  const newest = entries.find((entry) => !isExhausted(entry)) ?? entries[0];
  const needed = [newest, bootedEntry(state), nextEntry(state)];
  return entries.filter((entry) => needed.includes(entry) || isUnjudged(state, deployment, entry));
}
