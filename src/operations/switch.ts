import type { BootloaderKind } from "../bootloader/bootloader.ts";
import { isKernelWhole } from "../bootloader/kernel-store.ts";
import { findKernel } from "../core/boot/kernel.ts";
import { splitCmdline } from "../core/boot/kernel-cmdline.ts";
import { nextEntry } from "../core/deployment/deployment.ts";
import { keptArguments } from "../core/deployment/kept-arguments.ts";
import {
  type FollowedImage,
  findQuarantine,
  keptKernel,
  planSwitch,
  type SwitchPlan,
} from "../core/deployment/plan-switch.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { assert, OsdeployError } from "../core/errors.ts";
import { formatImageReference, type ImageReference } from "../core/oci/reference.ts";
import type { EtcConflict } from "../core/tree/merge-etc.ts";
import { mayGiveFilesAway } from "../linux/capabilities.ts";
import { onSameFileSystem } from "../linux/file-system.ts";
import type { Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { defaultInitOptions, initRepo } from "../repo/init-repo.ts";
import { openRootImage } from "../repo/object-graph.ts";
import type { WritableRepo } from "../repo/repo.ts";
import { dropStaged, recordStaged } from "../sysroot/staged-marker.ts";
import { writeStagedNote } from "../sysroot/staged-note-file.ts";
import type { Sysroot, WritableSysroot } from "../sysroot/sysroot.ts";
import { checkBootWritable } from "./boot-partition.ts";
import { withClockHint } from "./clock-hint.ts";
import { checkKernelArguments, type Deployed, deploy } from "./deploy.ts";
import { keepKernelArguments } from "./deployment-state.ts";
import { deploymentTag } from "./deployment-tag.ts";
import { followedText } from "./followed-image.ts";
import { openRepoInTurn } from "./in-turn.ts";
import { type ImageRequest, signersOf, type TrustedImage, withOfferedImage } from "./offered-image.ts";
import { type PulledImage, pullImage } from "./pull-image.ts";
import { warnWhereNotCommitted } from "./shutdown-commit.ts";
import type { System } from "./system.ts";
import { type WritableSystem, withWritableSystem } from "./writable-system.ts";

/**
 * Which image is to boot next, and how.
 *
 * `install` asks for the same, with an empty directory for a sysroot, whose boot partition is mounted at (or is) its
 * `boot`, with the loader's own files already there.
 */
export interface SwitchRequest extends ImageRequest {
  readonly sysroot: Path;
  /** For the first deployment of a sysroot; later ones have those of the deployment before, and take no others. */
  readonly kernelArguments: readonly string[];
  /** What the deployment follows from then on, where that is not the image itself: the disk was made from a copy of it. */
  readonly targetReference?: ImageReference | undefined;
  /** The loader of the boot partition; looked for there when not given. */
  readonly bootloader?: BootloaderKind | undefined;
  /** Whether what is staged is only kept ready, and not committed at shutdown. */
  readonly finalizationLocked?: boolean;
}

/** An image that was pulled, and the deployment that was made of it. */
interface NewlyDeployed {
  readonly image: string;
  readonly rootImage: ObjectId;
  readonly kernel: string;
  /** Where both the host and the new image changed /etc; the host's files were kept. */
  readonly etcConflicts: readonly EtcConflict[];
  readonly pulled: PulledImage;
}

export type SwitchResult =
  /** The default deployment already is this image. */
  | { readonly kind: "kept"; readonly image: string; readonly rootImage: ObjectId }
  /** So it is, and what was staged to come before it was dropped. */
  | { readonly kind: "unstaged"; readonly image: string; readonly rootImage: ObjectId }
  /** It was staged before. */
  | {
      readonly kind: "kept-staged";
      readonly image: string;
      readonly rootImage: ObjectId;
      readonly finalizationLocked: boolean;
    }
  | (NewlyDeployed & { readonly kind: "deployed"; readonly bootEntry: string })
  /** It gets its boot entry at shutdown. */
  | (NewlyDeployed & { readonly kind: "staged"; readonly finalizationLocked: boolean });

/**
 * Makes an image what boots next: pulls it, deploys it, and adds a boot entry that comes first. On the running system all
 * but the entry is done now, and the entry is added at shutdown.
 *
 * @throws OsdeployError `usage` for kernel arguments that it would not get.
 */
export async function switchImage(system: System, request: SwitchRequest): Promise<SwitchResult> {
  system.progress({ kind: "start", task: "switch", subject: formatImageReference(request.image) });
  const result = await withWritableSystem(system, { ...request, mayMake: true }, (writable) => {
    checkOwners(system, request);
    checkKernelArguments(writable.state, request.kernelArguments);
    warnOfLostArguments(system, writable, request.kernelArguments);
    return withRepo(system, writable.sysroot, (repo) =>
      withClockHint(system, { repo, state: writable.state }, () =>
        withOfferedImage(system, repo, request, async (offered) => {
          const image = followedImage(system, request, offered);
          const record = findQuarantine(writable.state, image.manifestDigest);
          if (record !== undefined) {
            system.progress({
              kind: "warning",
              message: `This image is in quarantine (${record.reason}), and deployed as asked`,
            });
          }
          const result = await perform(system, { request, writable, repo, offered }, planSwitch(writable.state, image));
          // The administrator's later word.
          if (result.kind === "kept") dropStaged(writable.sysroot);
          return result;
        }),
      ),
    );
  });
  system.progress({ kind: "done" });
  return result;
}

/**
 * Refuses who would find out at the first file of /etc, when all layers are there. The files of a directory can be the user's own.
 *
 * @throws OsdeployError `permission-denied`.
 */
function checkOwners({ linux }: System, { image }: SwitchRequest): void {
  if (image.kind === "root-directory" || mayGiveFilesAway(linux.files)) return;
  const reason = "the files of its /etc and /var have owners, and this user may not give files away (CAP_CHOWN)";
  throw new OsdeployError("permission-denied", `Cannot deploy an image: ${reason}`, {
    facts: { hint: "Run it as root" },
  });
}

/** Where the boot entries are lost, the new one has the kernel arguments that were kept, and what is given now. */
function warnOfLostArguments(
  system: System,
  { sysroot: { files, paths }, state }: WritableSystem,
  given: readonly string[],
): void {
  if (state.booted !== undefined || state.deployments.length === 0 || state.menu.entries.length > 0) return;
  const boot = files.lstatIfExists(pathBelow(paths.boot, "."));
  const isOwnPartition = boot !== undefined && !onSameFileSystem(boot, files.lstat(paths.deployments));
  const kept = keptArguments(state);
  if (kept !== undefined) {
    const message = `There is no boot entry to take kernel arguments from: those kept of deployment ${kept.deployment.rootImage} are taken`;
    system.progress({ kind: "warning", message });
  }
  const words = [...given, ...(kept === undefined ? [] : [kept.options])].flatMap(splitCmdline);
  const missing = ["root=", ...(isOwnPartition ? ["systemd.mount-extra="] : [])].filter(
    (start) => !words.some((word) => word.startsWith(start)),
  );
  if (missing.length === 0) return;
  const without = missing.map((start) => `${start}…`).join(" and ");
  const message = `There is no boot entry to take kernel arguments from, and none with ${without} is given or was kept: the system may not find its disks`;
  system.progress({ kind: "warning", message });
}

/** What the deployment is going to follow, and which image that is now. */
export function followedImage(
  system: Pick<System, "linux">,
  { targetReference }: Pick<SwitchRequest, "targetReference">,
  offered: Pick<TrustedImage, "image" | "reference">,
): FollowedImage {
  const manifestDigest = offered.image.manifest.digest;
  return { imageReference: followedText(system, targetReference ?? offered.reference), manifestDigest };
}

/** All that a plan is performed with. */
export interface SwitchWork {
  readonly request: SwitchRequest;
  readonly writable: WritableSystem;
  readonly repo: WritableRepo;
  readonly offered: TrustedImage;
}

/** Performs what was planned for an image. */
export async function perform(system: System, work: SwitchWork, plan: SwitchPlan): Promise<SwitchResult> {
  const { offered, request, writable } = work;
  const whole = withWholeKernel(writable, followedImage(system, request, offered), plan);
  const result = await performPlan(system, work, whole);
  if (isStaged(result)) warnWhereNotCommitted(system);
  return result;
}

/** The same, or a plan that stores the kernel again where the one on the boot partition is not what its name says. */
export function withWholeKernel(
  { sysroot, state }: Pick<WritableSystem, "state"> & { readonly sysroot: Pick<Sysroot, "files" | "paths"> },
  image: FollowedImage,
  plan: SwitchPlan,
): SwitchPlan {
  const bootDigest = keptKernel(state, plan);
  if (bootDigest === undefined || isKernelWhole(sysroot.files, sysroot.paths.boot, bootDigest)) return plan;
  const lostKernels = new Set([...state.lostKernels, bootDigest]);
  return planSwitch({ ...state, lostKernels }, image);
}

/** Whether there is something for the next shutdown to commit. */
export function isStaged(result: SwitchResult): boolean {
  return (result.kind === "staged" || result.kind === "kept-staged") && !result.finalizationLocked;
}

async function performPlan(system: System, work: SwitchWork, plan: SwitchPlan): Promise<SwitchResult> {
  const { request, writable, offered } = work;
  const { sysroot } = writable;
  const image = followedImage(system, request, offered).imageReference;
  switch (plan.kind) {
    case "keep":
      keepArgumentsOfNext(system, writable);
      return { kind: "kept", image, rootImage: plan.deployment.rootImage };
    case "unstage":
      dropStaged(sysroot);
      return { kind: "unstaged", image, rootImage: plan.deployment.rootImage };
    case "keep-staged": {
      const { rootImage } = plan.staged;
      const finalizationLocked = request.finalizationLocked === true;
      if (plan.staged.finalizationLocked !== finalizationLocked) {
        recordStaged(sysroot, { ...plan.staged, finalizationLocked });
      } else {
        // A run that was stopped between the record and its note.
        writeStagedNote(sysroot.files, sysroot.paths, plan.staged);
      }
      return { kind: "kept-staged", image, rootImage, finalizationLocked };
    }
    case "deploy":
      return await pullAndDeploy(system, work, plan);
  }
}

/** A run before may have had no room for them. */
function keepArgumentsOfNext(system: System, writable: WritableSystem): void {
  const entry = nextEntry(writable.state);
  if (entry !== undefined) keepKernelArguments(system, writable, entry);
}

async function pullAndDeploy(
  system: System,
  { request, writable, repo, offered }: SwitchWork,
  { base }: Extract<SwitchPlan, { readonly kind: "deploy" }>,
): Promise<SwitchResult> {
  checkBootWritable(writable.sysroot);
  const followed = { ...followedImage(system, request, offered), verifiedBy: signersOf(offered) };
  const checkTree = (tree: Parameters<typeof findKernel>[0]) => void findKernel(tree);
  const tag = deploymentTag(followed.manifestDigest);
  const pulled = await pullImage(system, repo, { ...offered, tag, bootable: true, checkTree });
  const rootImage = pulled.bootImage;
  assert(rootImage !== undefined, "a bootable pull makes a boot image");
  const { bootEntry, kernel, etcConflicts }: Deployed = deploy(system, {
    writable,
    repo,
    base,
    rootImage,
    tree: openRootImage(repo, rootImage),
    origin: { ...followed, sealedBy: pulled.sealedBy },
    kernelArguments: request.kernelArguments,
    architecture: request.platform.architecture,
    verity: repo.secure ? "required" : "optional",
    finalizationLocked: request.finalizationLocked === true,
  });
  const made = { image: followed.imageReference, rootImage, kernel, etcConflicts, pulled };
  if (bootEntry !== null) return { kind: "deployed", bootEntry, ...made };
  return { kind: "staged", finalizationLocked: request.finalizationLocked === true, ...made };
}

/** Opens the repo of a sysroot, or makes it, for the time of `use`. */
export async function withRepo<T>(
  system: System,
  sysroot: WritableSysroot,
  use: (repo: WritableRepo) => Promise<T>,
): Promise<T> {
  const repo = await openOrInitRepo(system, sysroot);
  try {
    return await use(repo);
  } finally {
    repo.close();
  }
}

/**
 * Opens the repo of a sysroot, or makes it; a run that stopped while it made one left a directory that is no repo yet.
 * A new repo is secure where the file system has fs-verity, else it warns.
 */
async function openOrInitRepo(system: System, { files, paths }: WritableSysroot): Promise<WritableRepo> {
  const open = () => openRepoInTurn(system, paths.repo, "write");
  if (files.lstatIfExists(paths.repo) === undefined) makeRepo(system, paths.repo);
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "not-found")) throw error;
    makeRepo(system, paths.repo);
    return await open();
  }
}

function makeRepo(system: System, path: Path): void {
  try {
    initRepo(system.linux, path, defaultInitOptions);
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "unsupported")) throw error;
    const message =
      "This file system or kernel has no fs-verity: the new repo is insecure, and nothing checks files when they are read";
    system.progress({ kind: "warning", message });
    initRepo(system.linux, path, { ...defaultInitOptions, secure: false });
  }
}
