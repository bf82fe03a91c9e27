import type { BootloaderKind } from "../bootloader/bootloader.ts";
import { bootEntryId } from "../core/boot/boot-menu.ts";
import type { SysrootState } from "../core/deployment/deployment.ts";
import { planRollback, type RollbackPlan } from "../core/deployment/plan-rollback.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import type { Path } from "../linux/linux.ts";
import { removeQuarantine, writeQuarantine } from "../sysroot/quarantine-store.ts";
import { removeStagedMarker } from "../sysroot/staged-marker.ts";
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
    // First: were the entry added before, a shutdown in between would put what is staged on top of it.
    if (writable.state.staged !== undefined) removeStagedMarker(writable.sysroot.files);
    if (plan.kind === "queue") return queue(system, writable, plan);
    if (plan.kind === "unqueue") return unqueue(writable, plan);
    return { kind: "unstaged" as const, ...describe(writable.state, plan), bootEntry: null, quarantined: null };
  });
  // Otherwise what runs boots next, as before.
  if (request.apply && result.kind !== "unstaged") reboot(system);
  return result;
}

function queue(
  { linux }: System,
  { sysroot, bootloader, state }: WritableSystem,
  plan: Extract<RollbackPlan, { readonly kind: "queue" }>,
): RollbackResult {
  const { files, paths } = sysroot;
  const left = plan.from?.origin;
  const quarantined = left === undefined || left.manifestDigest === plan.lift ? null : left.manifestDigest;
  if (left !== undefined && quarantined !== null) {
    writeQuarantine(files, paths, {
      manifestDigest: quarantined,
      cause: "rolled-back",
      reason: `rolled back from it to ${plan.deployment.origin?.manifestDigest ?? plan.deployment.rootImage}`,
      imageReference: left.imageReference,
      bootEntry: plan.from?.entries[0] && bootEntryId(plan.from.entries[0].sequence),
      since: new Date(linux.clock.now()).toISOString(),
      bootLog: "",
    });
  }
  const { fileName } = bootloader.addEntry(plan.entry);
  if (plan.lift !== undefined) removeQuarantine(files, paths, plan.lift);
  return { kind: "queued", ...describe(state, plan), bootEntry: fileName, quarantined };
}

function unqueue(
  { sysroot, bootloader, state }: WritableSystem,
  plan: Extract<RollbackPlan, { readonly kind: "unqueue" }>,
): RollbackResult {
  bootloader.removeEntries([plan.entry]);
  if (plan.lift !== undefined) removeQuarantine(sysroot.files, sysroot.paths, plan.lift);
  return { kind: "unqueued", ...describe(state, plan), bootEntry: plan.entry.fileName, quarantined: null };
}

function describe(
  { staged }: SysrootState,
  { deployment }: RollbackPlan,
): Pick<RollbackResult, "rootImage" | "image" | "droppedStaged"> {
  return {
    rootImage: deployment?.rootImage ?? null,
    image: deployment?.origin?.imageReference ?? null,
    droppedStaged: staged !== undefined,
  };
}
