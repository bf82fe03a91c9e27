import type { BootloaderKind } from "../bootloader/bootloader.ts";
import { imageVersion } from "../core/boot/bls-entry.ts";
import { type BootEntry, bootEntryId } from "../core/boot/boot-menu.ts";
import type { SysrootState } from "../core/deployment/deployment.ts";
import { planRollback, type RollbackPlan } from "../core/deployment/plan-rollback.ts";
import { findQuarantine } from "../core/deployment/plan-switch.ts";
import type { QuarantineRecord } from "../core/deployment/quarantine.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { removeQuarantine, writeQuarantine } from "../sysroot/quarantine-store.ts";
import { dropStaged } from "../sysroot/staged-marker.ts";
import { reboot, requireRunning } from "./reboot.ts";
import type { System } from "./system.ts";
import { type WritableSystem, withWritableSystem } from "./writable-system.ts";

export interface RollbackRequest {
  readonly sysroot: Path;
  readonly bootloader?: BootloaderKind | undefined;
  /** Whether to reboot at once. */
  readonly apply: boolean;
}

export interface RollbackResult {
  /**
   * `unqueued`: a rollback waited for the next boot, and does so no longer. `unstaged`: there was nothing to go back to, and what
   * was staged is dropped.
   */
  readonly kind: "queued" | "unqueued" | "unstaged";
  /** What boots next; null only where nothing does. */
  readonly rootImage: ObjectId | null;
  readonly image: string | null;
  /** Of that image: the deployments before and after a rollback mostly follow one name. */
  readonly manifestDigest: ManifestDigest | null;
  /** What the image calls its version. */
  readonly version: string | null;
  /** The boot entry that was added or removed; null where only what was staged is dropped. */
  readonly bootEntry: string | null;
  /** The image that no upgrade brings back by itself from now on. */
  readonly quarantined: ManifestDigest | null;
  /** Whether something was staged, which was dropped. */
  readonly droppedStaged: boolean;
}

/** Lets the deployment before the default boot next; a second time, takes that back. Drops what is staged. */
export async function rollback(system: System, request: RollbackRequest): Promise<RollbackResult> {
  if (request.apply) requireRunning(system, request.sysroot, "reboot");
  const result = await withWritableSystem(system, request, (writable) => {
    const plan = planRollback(writable.state);
    if (plan.kind === "queue") return queue(system, writable, plan);
    if (plan.kind === "unqueue") return unqueue(writable, plan);
    dropStaged(writable.sysroot);
    return { kind: "unstaged" as const, ...describe(writable.state, plan), bootEntry: null, quarantined: null };
  });
  // Otherwise what runs boots next, as before.
  if (request.apply && result.kind !== "unstaged") reboot(system);
  return result;
}

type QueuePlan = Extract<RollbackPlan, { readonly kind: "queue" }>;

/** The boot entry is the commit. It overtakes what is staged, so that a shutdown before that is dropped does not put it on top. */
function queue({ linux }: System, writable: WritableSystem, plan: QueuePlan): RollbackResult {
  const { sysroot, state } = writable;
  const record = quarantineOf(plan, linux.clock.now());
  const { fileName } = addEntry(writable, plan, record);
  dropStaged(sysroot);
  if (plan.lift !== undefined) removeQuarantine(sysroot.files, sysroot.paths, plan.lift);
  const quarantined = record?.manifestDigest ?? null;
  return { kind: "queued", ...describe(state, plan), bootEntry: fileName, quarantined };
}

/** What keeps an upgrade from undoing it; undefined where there is nothing to keep out. */
function quarantineOf({ from, lift, deployment }: QueuePlan, now: number): QuarantineRecord | undefined {
  const left = from?.origin;
  if (left === undefined || left.manifestDigest === lift) return undefined;
  return {
    manifestDigest: left.manifestDigest,
    cause: "rolled-back",
    reason: `rolled back from it to ${deployment.origin?.manifestDigest ?? deployment.rootImage}`,
    imageReference: left.imageReference,
    bootEntry: from?.entries[0] && bootEntryId(from.entries[0].sequence),
    since: new Date(now).toISOString(),
    bootLog: "",
  };
}

/** The record comes first: a run that is stopped in between must leave no rollback that the next upgrade undoes. */
function addEntry(writable: WritableSystem, { entry }: QueuePlan, record: QuarantineRecord | undefined): BootEntry {
  const { sysroot, bootloader } = writable;
  try {
    if (record !== undefined) writeQuarantine(sysroot.files, sysroot.paths, record);
    return bootloader.addEntry(entry);
  } catch (error) {
    if (error instanceof OsdeployError && record !== undefined) takeBack(writable, entry, record);
    throw error;
  }
}

/** Without the entry nothing was rolled back, and nothing is to be kept out. What fails here too is not told instead. */
function takeBack({ sysroot, bootloader, state }: WritableSystem, entry: BootEntry, record: QuarantineRecord): void {
  const { files, paths } = sysroot;
  const before = findQuarantine(state, record.manifestDigest);
  unlessFailing(() => {
    if (bootloader.readMenu().entries.some(({ sequence }) => sequence === entry.sequence)) return;
    if (before === undefined) removeQuarantine(files, paths, record.manifestDigest);
    else writeQuarantine(files, paths, before);
  });
}

function unqueue(writable: WritableSystem, plan: Extract<RollbackPlan, { readonly kind: "unqueue" }>): RollbackResult {
  const { sysroot, bootloader, state } = writable;
  bootloader.removeEntries([plan.entry]);
  dropStaged(sysroot);
  if (plan.lift !== undefined) removeQuarantine(sysroot.files, sysroot.paths, plan.lift);
  return { kind: "unqueued", ...describe(state, plan), bootEntry: plan.entry.fileName, quarantined: null };
}

function describe(
  { staged }: SysrootState,
  { deployment }: RollbackPlan,
): Pick<RollbackResult, "rootImage" | "image" | "manifestDigest" | "version" | "droppedStaged"> {
  const entry = deployment?.entries[0]?.entry;
  return {
    rootImage: deployment?.rootImage ?? null,
    image: deployment?.origin?.imageReference ?? null,
    manifestDigest: deployment?.origin?.manifestDigest ?? null,
    version: (entry && imageVersion(entry)) ?? null,
    droppedStaged: staged !== undefined,
  };
}
