import { blsOptions } from "../core/boot/bls-entry.ts";
import { type BootEntry, makeBootEntry, nextSequence } from "../core/boot/boot-menu.ts";
import { imageKernelArguments } from "../core/boot/image-kargs.ts";
import { composefsArgument, deploymentOptions, splitCmdline, withGivenArguments } from "../core/boot/kernel-cmdline.ts";
import {
  bootedDeployment,
  bootedEntry,
  type Deployment,
  defaultDeployment,
  findDeployment,
  nextEntry,
  type StagedDeployment,
  type SysrootState,
  triesOfNewEntry,
} from "../core/deployment/deployment.ts";
import { keptArguments } from "../core/deployment/kept-arguments.ts";
import { placementOf } from "../core/deployment/plan-switch.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import type { EtcConflict } from "../core/tree/merge-etc.ts";
import { openRootImage } from "../repo/object-graph.ts";
import type { Repo } from "../repo/repo.ts";
import { dropStaged, recordStaged } from "../sysroot/staged-marker.ts";
import type { BootFiles } from "./boot-files.ts";
import { storeBootFiles } from "./boot-files.ts";
import {
  isDeployed,
  isWithoutEntries,
  keepKernelArguments,
  type NewDeployment,
  replaceOrigin,
  writeArgumentsOf,
  writeNewState,
} from "./deployment-state.ts";
import { readKargsFiles, readOsRelease } from "./image-content.ts";
import type { System } from "./system.ts";
import type { WritableSystem } from "./writable-system.ts";

/** A root image in the repo, and how it is to be deployed. */
export interface DeployRequest extends Omit<NewDeployment, "origin"> {
  readonly writable: WritableSystem;
  readonly repo: Repo;
  readonly origin: Pick<NewDeployment["origin"], "imageReference" | "manifestDigest" | "verifiedBy" | "sealedBy">;
  /** For the first deployment; later ones have those of the one before. */
  readonly kernelArguments: readonly string[];
  /** OCI's word for the machine, for the kernel arguments that an image has for it. */
  readonly architecture: string;
  /** Whether the kernel has to check every file. */
  readonly verity: "required" | "optional";
  /** Whether what is staged is held back at shutdown. */
  readonly finalizationLocked: boolean;
  /** Whether the loader is not to count its boots: there is nothing else that it could start. */
  readonly uncounted?: boolean;
  /** Whether an installation makes it: what one that was stopped left is made anew. */
  readonly isInstallation?: boolean;
  /** Whether this is the first deployment beside a system that is not ours. */
  readonly besideOthers?: boolean;
}

export interface Deployed {
  /** The boot entry; null for what gets one at shutdown. */
  readonly bootEntry: string | null;
  readonly kernel: string;
  /** None where the root image has been deployed before: its /etc stays as it is. */
  readonly etcConflicts: readonly EtcConflict[];
}

/**
 * Makes a deployment of a root image. In this order: kernel store, state directory, and last the boot entry, whose rename
 * is the commit; a crash before it leaves what boots as it was. On a running system the record of what is staged comes
 * last, and `finalize-staged` adds the entry at shutdown. Where the default boots this root image already, only the
 * origin changes.
 */
export function deploy(system: System, request: DeployRequest): Deployed {
  const { writable, repo, tree, rootImage } = request;
  const { state, sysroot } = writable;
  system.progress({ kind: "phase", phase: "boot-files" });
  const boot = storeBootFiles(writable, repo, tree);
  system.progress({ kind: "phase", phase: "deployment" });
  const staged = describeStaged(request, boot);
  const deployment = { ...request, origin: staged.origin };
  const placement = placementOf(state, rootImage);
  if (placement === "follow") {
    // The default boots this very image, and only follows something else now: an entry more would start the same.
    replaceOrigin(system, writable, deployment);
    dropStaged(sysroot);
    const entry = nextEntry(state);
    if (entry !== undefined) keepKernelArguments(system, writable, entry);
    return { bootEntry: entry?.fileName ?? null, kernel: boot.version, etcConflicts: [] };
  }
  const staysAsItIs = isDeployed(state, rootImage) || (!request.isInstallation && isWithoutEntries(state, rootImage));
  const etcConflicts = staysAsItIs ? [] : writeNewState(system, writable, repo, deployment);
  if (placement === "stage") {
    recordStaged(sysroot, staged);
    return { bootEntry: null, kernel: boot.version, etcConflicts };
  }
  const { fileName } = commit(system, writable, staged, request);
  dropStaged(sysroot);
  return { bootEntry: fileName, kernel: boot.version, etcConflicts };
}

/** Adds the boot entry of a deployment whose state directory and kernel are there: from then on it boots next. */
export function commit(
  system: System,
  writable: WritableSystem,
  staged: StagedDeployment,
  options: Pick<DeployRequest, "uncounted" | "besideOthers" | "isInstallation"> = {},
): BootEntry {
  const { bootloader, state } = writable;
  const { uncounted = false, besideOthers = false, isInstallation = false } = options;
  if (findDeployment(state, staged.rootImage) !== undefined) replaceOrigin(system, writable, staged);
  const sequence = nextSequence(state.menu);
  const entry = makeBootEntry({
    sequence,
    rootImage: staged.rootImage,
    ...staged.boot,
    ...(!uncounted && { tries: triesOfNewEntry }),
    besideOthers,
  });
  // An installation that ended is not run again.
  if (isInstallation) writeArgumentsOf(system, writable, entry);
  else keepKernelArguments(system, writable, entry);
  return bootloader.addEntry(entry);
}

function describeStaged(request: DeployRequest, bootFiles: BootFiles): StagedDeployment {
  const { writable, repo, tree, rootImage } = request;
  const { kernelPath, initramfsPath, bootDigest } = bootFiles;
  const osRelease = readOsRelease(repo, tree);
  const boot = { osRelease, kernelPath, initramfsPath, options: bootOptions(request) };
  const sequence = nextSequence(writable.state.menu);
  // What no entry can be made of is not staged: at shutdown nobody would be told.
  makeBootEntry({ sequence, rootImage, ...boot });
  return {
    rootImage,
    origin: { ...request.origin, bootDigest },
    boot,
    sequence,
    finalizationLocked: request.finalizationLocked,
  };
}

/** The kernel arguments of the deployment before, those kept of a lost one, or those given for the first, with this root image. */
function bootOptions(request: DeployRequest): string {
  const { writable, repo, base, rootImage, tree, verity, architecture, kernelArguments } = request;
  const kept = request.isInstallation === true ? undefined : keptArguments(writable.state);
  const given = kept && withGivenArguments(kept.options, kernelArguments);
  const argumentsOf = (id: ObjectId) =>
    imageKernelArguments(readKargsFiles(repo, openRootImage(repo, id)), architecture, "deployed");
  // What is kept is all there is of that deployment, perhaps.
  const lost = kept && unlessFailing(() => argumentsOf(kept.deployment.rootImage));
  const before = base === undefined ? lost : argumentsOf(base.rootImage);
  return deploymentOptions({
    inherited: optionsBefore(writable.state, base) ?? given ?? ["rw", ...kernelArguments].join(" "),
    rootArgument: composefsArgument(rootImage, verity),
    imageArguments: { before: before ?? [], after: imageKernelArguments(readKargsFiles(repo, tree), architecture) },
  });
}

/** The kernel arguments that a new deployment takes over; undefined for the first one, which has those it is given. */
function optionsBefore(state: SysrootState, base: Deployment | undefined): string | undefined {
  const entry = bootedEntry(state) ?? base?.entries[0];
  // Another program installed this system: its entries may be of a form that we do not read.
  return entry === undefined ? state.booted?.kernelArguments : blsOptions(entry.entry);
}

/**
 * Refuses kernel arguments that a sysroot with deployments would not get: it keeps its own. Those that it has are fine, so that a
 * first switch can be run again.
 *
 * @throws OsdeployError `usage`.
 */
export function checkKernelArguments(state: SysrootState, wanted: readonly string[]): void {
  const before = optionsBefore(state, bootedDeployment(state) ?? defaultDeployment(state));
  if (before === undefined) return;
  const there = splitCmdline(before);
  const dropped = wanted.flatMap(splitCmdline).filter((word) => !there.includes(word));
  if (dropped.length === 0) return;
  const reason = "there is a deployment, and a new one has the arguments of the one before";
  throw new OsdeployError("usage", `Cannot add kernel argument ${dropped.join(" ")}: ${reason}`, {
    facts: {
      hint: "Leave --karg out; what you change in a boot entry is inherited, and images bring arguments in kargs.d",
    },
  });
}
