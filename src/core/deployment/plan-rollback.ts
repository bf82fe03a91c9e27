import { type BlsEntry, blsOptions } from "../boot/bls-entry.ts";
import { type BootEntry, bootEntryFileName, bootEntryId, nextSequence } from "../boot/boot-menu.ts";
import { closedCmdline, entryArgument, splitCmdline } from "../boot/kernel-cmdline.ts";
import type { LineField } from "../boot/line-fields.ts";
import type { ManifestDigest } from "../digest/oci-digest.ts";
import { assert, OsdeployError } from "../errors.ts";
import {
  type Deployment,
  defaultDeployment,
  findDeployment,
  hasLostKernel,
  isRollbackQueued,
  nextEntry,
  type SysrootState,
  triesOfNewEntry,
  wayBack,
} from "./deployment.ts";
import { findQuarantine } from "./plan-switch.ts";

/** What `rollback` is going to do. What is staged is dropped in any case. */
export type RollbackPlan =
  /** The way back gets the newest entry, and what it leads away from goes into quarantine, so that no upgrade undoes it. */
  | {
      readonly kind: "queue";
      readonly deployment: Deployment;
      readonly entry: BootEntry;
      readonly from: Deployment | undefined;
      readonly lift: ManifestDigest | undefined;
    }
  /** A rollback waits for the next boot already: its entry goes, and what it led away from comes back. */
  | {
      readonly kind: "unqueue";
      readonly deployment: Deployment | undefined;
      readonly entry: BootEntry;
      readonly lift: ManifestDigest | undefined;
    }
  /** There is nothing to go back to, and what is staged is all that can be dropped: the default stays. */
  | { readonly kind: "unstage"; readonly deployment: Deployment | undefined };

/**
 * Decides what a rollback does.
 *
 * @throws OsdeployError `not-found` when there is nothing to go back to, and nothing staged; or when the kernel or the root image to go back to is gone.
 */
export function planRollback(state: SysrootState): RollbackPlan {
  if (isRollbackQueued(state)) return planUnqueue(state);
  const way = wayBack(state);
  if (way === undefined) {
    if (state.staged !== undefined) return { kind: "unstage", deployment: defaultDeployment(state) };
    throw new OsdeployError("not-found", "Cannot roll back: there is no other deployment that can boot", {
      facts: { hint: "See what there is with: osdeploy status" },
    });
  }
  const { deployment } = way;
  if (hasLostKernel(state, way.entry)) {
    const why = `the kernel of ${way.entry.fileName} is not on the boot partition`;
    throw new OsdeployError("not-found", `Cannot roll back: ${why}`, {
      facts: { hint: "Deploy that image again, which stores its kernel, with: osdeploy switch IMAGE" },
    });
  }
  if (state.lostRootImages.has(deployment.rootImage)) {
    const why = `the root image of ${way.entry.fileName} is not in the repo`;
    throw new OsdeployError("not-found", `Cannot roll back: ${why}`, {
      facts: { hint: "Deploy that image again, which makes it, with: osdeploy switch IMAGE" },
    });
  }
  return {
    kind: "queue",
    deployment,
    entry: againAs(way.entry, nextSequence(state.menu)),
    from: defaultDeployment(state),
    lift: deployment.origin?.manifestDigest,
  };
}

function planUnqueue(state: SysrootState): RollbackPlan {
  const entry = nextEntry(state);
  assert(entry !== undefined, "a queued rollback is a boot entry");
  const entries = state.menu.entries.filter((each) => each !== entry);
  const deployment = findDeployment(state, nextEntry({ ...state, menu: { ...state.menu, entries } })?.rootImage);
  const record = findQuarantine(state, deployment?.origin?.manifestDigest);
  return {
    kind: "unqueue",
    deployment,
    entry,
    lift: record?.cause === "rolled-back" ? record.manifestDigest : undefined,
  };
}

/** The same entry with another number. One that was good is not counted; one that never proved itself is, from the start. */
function againAs(entry: BootEntry, sequence: number): BootEntry {
  const fields = namingEntry(entry.entry).fields.map((field) => ({ ...field, value: valueAs(field, sequence) }));
  const tries = entry.tries === undefined ? undefined : { left: triesOfNewEntry, done: 0 };
  return { ...entry, sequence, tries, fileName: bootEntryFileName(sequence, tries), entry: { fields } };
}

/** The entry with an argument that names it: one that somebody edited may have lost it, also behind a quote left open. */
function namingEntry(entry: BlsEntry): BlsEntry {
  const options = blsOptions(entry);
  if (splitCmdline(options).some((word) => word.startsWith(entryArgument("")))) return entry;
  const others = entry.fields.filter(({ key }) => key !== "options");
  return { fields: [...others, { key: "options", value: `${closedCmdline(options)} ${entryArgument("")}` }] };
}

function valueAs({ key, value }: LineField, sequence: number): string {
  if (key === "version") return value.replace(/^\d+/, String(sequence));
  if (key !== "options") return value;
  const argument = entryArgument(bootEntryId(sequence));
  return splitCmdline(value)
    .map((word) => (word.startsWith(entryArgument("")) ? argument : word))
    .join(" ");
}
