import type { BootloaderKind } from "../bootloader/bootloader.ts";
import { type BootEntry, bootEntryId } from "../core/boot/boot-menu.ts";
import { type BootCompletePlan, type FailedBoot, planBootComplete } from "../core/deployment/plan-boot-complete.ts";
import type { QuarantineRecord } from "../core/deployment/quarantine.ts";
import { isSettled } from "../core/deployment/staged-note.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { unlessFailing } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { readBootFailure, removeBootFailures, removeNote, writeNote } from "../sysroot/boot-records.ts";
import { markGc } from "../sysroot/gc-marker.ts";
import { removeQuarantine, writeQuarantine } from "../sysroot/quarantine-store.ts";
import { removeStagedNote } from "../sysroot/staged-note-file.ts";
import { bootLogTail } from "./boot-log.ts";
import { isCollectionNeeded } from "./collect-deployments.ts";
import { keepKernelArguments } from "./deployment-state.ts";
import type { System } from "./system.ts";
import { type UpdatedLoader, updateLoader } from "./update-loader.ts";
import { type WritableSystem, withWritableSystem } from "./writable-system.ts";

export interface BootCompleteRequest {
  readonly sysroot: Path;
  readonly bootloader?: BootloaderKind | undefined;
}

export interface BootCompleteResult {
  /** The entry that booted; null when it is another program's, and after a soft reboot. */
  readonly bootEntry: string | null;
  /** Whether its counters were taken away now. */
  readonly blessed: boolean;
  /** Whether the loader counted this boot; `unknown` where there was nothing to count. */
  readonly counting: BootCompletePlan["counting"];
  /** What went into quarantine, and why. */
  readonly quarantined: readonly { readonly manifestDigest: ManifestDigest; readonly reason: string }[];
  /** The versions of a boot loader that was replaced by the image's newer one; null where there was nothing to do. */
  readonly loader: UpdatedLoader | null;
}

/**
 * What follows from a boot that was good: it is blessed, what failed before it goes into quarantine, a loader that does not
 * count is told of, one that is older than the image's is replaced, and a mark says whether there is garbage to collect. Run
 * again it changes nothing.
 */
export async function bootComplete(system: System, request: BootCompleteRequest): Promise<BootCompleteResult> {
  const result = await settle(system, request);
  // Most boots leave nothing to collect: found out here, it costs them no process of its own.
  markGc(system.linux.files, hasWorkForGc(system, request));
  return result;
}

/** Where it cannot be found out, `gc` will tell why: the boot was good all the same. */
function hasWorkForGc(system: System, request: BootCompleteRequest): boolean {
  return unlessFailing(() => isCollectionNeeded(system, request)) ?? true;
}

async function settle(system: System, request: BootCompleteRequest): Promise<BootCompleteResult> {
  return await withWritableSystem(system, { ...request, wait: true }, (writable) => {
    const plan = planBootComplete(writable.state);
    // The blessing first: a power cut after it costs no try.
    if (plan.bless && plan.entry !== undefined) writable.bootloader.bless(plan.entry);
    const records = plan.failed.map((failed) => describeFailure(system, writable, failed));
    remember(system, writable, plan, records);
    noteDamage(system, writable, plan.damaged);
    // Also what somebody changed in the entry: it boots.
    if (plan.entry !== undefined) keepKernelArguments(system, writable, plan.entry);
    // Last: it is the only thing here that a machine can do without.
    const loader = updateLoader(system, writable) ?? null;
    return {
      bootEntry: plan.entry === undefined ? null : bootEntryId(plan.entry.sequence),
      blessed: plan.bless,
      counting: plan.counting,
      quarantined: records.map(({ manifestDigest, reason }) => ({ manifestDigest, reason })),
      loader,
    };
  });
}

function describeFailure(
  { linux }: System,
  { sysroot }: WritableSystem,
  { entry, origin }: FailedBoot,
): QuarantineRecord {
  const id = bootEntryId(entry.sequence);
  return {
    manifestDigest: origin.manifestDigest,
    cause: "boot-failed",
    reason: readBootFailure(sysroot.files, sysroot.paths, id) || triesSentence(entry),
    imageReference: origin.imageReference,
    bootEntry: id,
    since: new Date(linux.clock.now()).toISOString(),
    bootLog: bootLogTail(linux.programs, id),
  };
}

/** After the notes that a good boot settles: what was damaged is told until the next one that is counted. */
function noteDamage(system: System, { sysroot }: WritableSystem, damaged: BootCompletePlan["damaged"]): void {
  const { files, paths } = sysroot;
  const [first] = damaged;
  if (first === undefined) return;
  const id = bootEntryId(first.entry.sequence);
  const failure = readBootFailure(files, paths, id);
  const message = `Boot entry ${id} of image ${first.origin.manifestDigest} was given up, and not for what is in the image: ${failure}`;
  writeNote(files, paths, "damaged", message);
  system.progress({ kind: "warning", message });
}

function triesSentence({ tries }: BootEntry): string {
  const done = tries?.done ?? 0;
  if (done === 0) return "it was given up before it could boot";
  return done === 1 ? "a boot of it did not complete" : `${done} boots of it did not complete`;
}

function remember(
  system: System,
  { sysroot, state }: WritableSystem,
  { entry, bless, counting, lift }: BootCompletePlan,
  records: readonly QuarantineRecord[],
): void {
  const { files, paths } = sysroot;
  for (const record of records) {
    writeQuarantine(files, paths, record);
    const message = `Image ${record.manifestDigest} failed to boot (${record.reason}): upgrades leave it alone until its tag moves`;
    system.progress({ kind: "warning", message });
  }
  if (lift !== undefined) removeQuarantine(files, paths, lift);
  const id = entry && bootEntryId(entry.sequence);
  if (counting === "not-counted") {
    const message = `The boot loader did not count the boot of ${id}: a deployment that fails is not given up by itself`;
    writeNote(files, paths, "not-counted", message);
    system.progress({ kind: "warning", message });
  }
  if (counting === "counted") removeNote(files, paths, "not-counted");
  // A commit whose last sync failed can have succeeded: the first good boot of its entry shows it.
  if (bless || counting === "counted") {
    removeNote(files, paths, "finalize-failure");
    removeNote(files, paths, "damaged");
  }
  // A power cut came after the commit and before its note went.
  if (state.stagedNote !== undefined && isSettled(state.stagedNote, state.menu)) removeStagedNote(files, paths);
  const others = state.menu.entries.map(({ sequence }) => bootEntryId(sequence)).filter((each) => each !== id);
  removeBootFailures(files, paths, new Set(others));
}
