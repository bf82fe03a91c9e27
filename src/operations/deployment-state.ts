import { blsOptions } from "../core/boot/bls-entry.ts";
import type { BootEntry } from "../core/boot/boot-menu.ts";
import {
  type Deployment,
  findDeployment,
  hasEntry,
  type Origin,
  type SysrootState,
} from "../core/deployment/deployment.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { assert, unlessFailing } from "../core/errors.ts";
import type { FileTree } from "../core/tree/inode.ts";
import type { EtcConflict, EtcStep } from "../core/tree/merge-etc.ts";
import type { ContentSource } from "../linux/file-content.ts";
import type { Repo } from "../repo/repo.ts";
import { type NewState, writeKernelArguments, writeOrigin, writeStateDirectory } from "../sysroot/state-directory.ts";
import { contentSource } from "./boot-files.ts";
import { mergeHostEtc, type NewEtc, stepsOfFirstEtc, stepsOfImage } from "./host-etc.ts";
import { type StateAddition, stepsOfAdditions, withAdditions } from "./state-additions.ts";
import type { System } from "./system.ts";
import { warnOfLeftovers } from "./warn-of-leftovers.ts";
import type { WritableSystem } from "./writable-system.ts";

/** A root image, and what its deployment is to be. */
export interface NewDeployment {
  readonly rootImage: ObjectId;
  /** What `rootImage` holds. */
  readonly tree: FileTree;
  readonly origin: Origin;
  /** The deployment whose /etc is carried over; /etc comes fresh from the image without one. */
  readonly base: Deployment | undefined;
  /** What an installation puts there besides. */
  readonly additions?: readonly StateAddition[];
}

/**
 * Whether a root image has a deployment that can boot, by another program's entry too, or is running: then that one's /etc
 * stays, and it only gets another boot entry. State directories are named by root images, as in bootc, so there is one for each.
 */
export function isDeployed(state: SysrootState, rootImage: ObjectId): boolean {
  const deployment = findDeployment(state, rootImage);
  if (deployment === undefined) return false;
  return hasEntry(state, deployment) || state.booted?.rootImage === rootImage;
}

/**
 * Whether a root image has a deployment in a sysroot at rest without any entry of a deployment. Most likely the entries are
 * lost, and then /etc is all that is left of the host; or the first deployment was stopped, whose state directory is whole.
 */
export function isWithoutEntries(state: SysrootState, rootImage: ObjectId): boolean {
  if (state.booted !== undefined || findDeployment(state, rootImage) === undefined) return false;
  return !state.deployments.some((each) => hasEntry(state, each));
}

/**
 * Writes the state directory of a deployment that nothing boots yet, durable: the host's /etc merged into the image's. The
 * /etc of `base` is only read.
 *
 * @returns where both the host and the image changed /etc.
 */
export function writeNewState(
  system: System,
  { sysroot }: WritableSystem,
  repo: Repo,
  deployment: NewDeployment,
): readonly EtcConflict[] {
  const { files, paths } = sysroot;
  const { base, tree, rootImage, origin, additions = [] } = deployment;
  const etc: Pick<NewEtc, "steps" | "conflicts"> & Partial<NewEtc> =
    base === undefined
      ? { steps: stepsOfFirstEtc(repo, tree), conflicts: [] }
      : mergeHostEtc(files, { repo, paths, base, image: tree });
  const contentOf = (step: EtcStep): ContentSource => {
    const { from, inode } = step;
    assert(inode.kind === "regular", "only regular files have content");
    if (from === "image") return contentSource(repo, inode.content);
    assert(etc.hostPathOf !== undefined, "without a deployment before there is no file of the host's");
    return { kind: "file", path: etc.hostPathOf(step) };
  };
  const time = Math.floor(system.linux.clock.now() / 1000);
  const imageVar = stepsOfImage(tree, "var");
  const state: NewState = {
    ...{ rootImage, origin, contentOf },
    etc: withAdditions(etc.steps, additions, { below: "etc", time }),
    var: imageVar,
    addedToVar: stepsOfAdditions(imageVar, additions, { below: "var", time }),
  };
  const leftovers = writeStateDirectory(files, paths, state, system.linux.clock.randomName());
  warnOfLeftovers(
    system,
    leftovers.map((error) => sysroot.inUsersWords(error)),
  );
  return etc.conflicts;
}

/** Writes the kernel arguments of a boot entry beside its deployment's origin, durable, for the day when the entries are lost. */
export function writeArgumentsOf(system: System, { sysroot }: WritableSystem, { rootImage, entry }: BootEntry): void {
  const options = blsOptions(entry);
  const { files, paths } = sysroot;
  writeKernelArguments(files, paths, { rootImage, options }, system.linux.clock.randomName());
}

/** The same. Nothing boots by them: a disk that does not take them keeps nothing from being done. */
export function keepKernelArguments(system: System, writable: WritableSystem, entry: BootEntry): void {
  unlessFailing(() => writeArgumentsOf(system, writable, entry));
}

/** Lets a deployment that is there follow something else, durable. */
export function replaceOrigin(
  system: System,
  { sysroot }: WritableSystem,
  deployment: Pick<NewDeployment, "rootImage" | "origin">,
): void {
  writeOrigin(sysroot.files, sysroot.paths, deployment, system.linux.clock.randomName());
}
