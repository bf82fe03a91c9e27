import { findKernel } from "../core/boot/kernel.ts";
import { planSwitch } from "../core/deployment/plan-switch.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { assert, OsdeployError } from "../core/errors.ts";
import { formatImageReference } from "../core/oci/reference.ts";
import type { EtcConflict } from "../core/tree/merge-etc.ts";
import type { Path } from "../linux/linux.ts";
import { defaultInitOptions, initRepo } from "../repo/init-repo.ts";
import { readRootImage } from "../repo/object-graph.ts";
import { openRepo, type WritableRepo } from "../repo/repo.ts";
import { openWritableSysroot, type WritableSysroot } from "../sysroot/sysroot.ts";
import { deploy } from "./deploy.ts";
import { type ImageRequest, withOfferedImage } from "./offered-image.ts";
import { type PulledImage, pullImage } from "./pull-image.ts";
import { readSysrootState } from "./status.ts";
import type { System } from "./system.ts";

export interface SwitchRequest extends ImageRequest {
  readonly sysroot: Path;
  /** Kernel arguments for the first deployment of a sysroot; later ones keep those of the deployment before. */
  readonly kernelArguments: readonly string[];
}

export type SwitchResult =
  /** The default deployment already is this image. */
  | { readonly kind: "kept"; readonly image: string; readonly rootImage: ObjectId }
  | {
      readonly kind: "deployed";
      readonly image: string;
      readonly rootImage: ObjectId;
      readonly bootEntry: string;
      readonly kernel: string;
      /** Where both the host and the new image changed /etc; the host's files were kept. */
      readonly etcConflicts: readonly EtcConflict[];
      readonly pulled: PulledImage;
    };

/** Makes an image what boots next: pulls it, deploys it, and adds a boot entry that comes first. */
export async function switchImage(system: System, request: SwitchRequest): Promise<SwitchResult> {
  system.progress({ kind: "start", task: "switch", subject: formatImageReference(request.image) });
  const sysroot = openWritableSysroot(system.linux, request.sysroot);
  try {
    const repo = openOrInitRepo(system, sysroot);
    try {
      const result = await switchWithin(system, { request, sysroot, repo });
      system.progress({ kind: "done" });
      return result;
    } finally {
      repo.close();
    }
  } finally {
    sysroot.close();
  }
}

interface OpenSystem {
  readonly request: SwitchRequest;
  readonly sysroot: WritableSysroot;
  readonly repo: WritableRepo;
}

async function switchWithin(system: System, { request, sysroot, repo }: OpenSystem): Promise<SwitchResult> {
  const imageReference = formatImageReference(request.image);
  const state = readSysrootState(sysroot.files, sysroot.paths);
  return await withOfferedImage(system, repo, request, async (offered) => {
    const manifestDigest = offered.image.manifest.digest;
    const plan = planSwitch(state, { imageReference, manifestDigest });
    if (plan.kind === "keep") return { kind: "kept", image: imageReference, rootImage: plan.deployment.rootImage };
    const checkTree = (tree: Parameters<typeof findKernel>[0]) => void findKernel(tree);
    const tag = deploymentTag(manifestDigest);
    const pulled = await pullImage(system, repo, { ...offered, tag, bootable: true, checkTree });
    const rootImage = pulled.bootImage;
    assert(rootImage !== undefined, "a bootable pull makes a boot image");
    const { kernelArguments } = request;
    const tree = readRootImage(repo, rootImage);
    const made = deploy(system, {
      sysroot,
      repo,
      state,
      plan,
      tree,
      rootImage,
      imageReference,
      manifestDigest,
      kernelArguments,
    });
    return { kind: "deployed", image: imageReference, rootImage, ...made, pulled };
  });
}

/** The tag that keeps the image of a deployment; bootc's composefs backend gives it the same, so that its gc keeps it too. */
function deploymentTag(manifestDigest: string): string {
  return `localhost/bootc-${manifestDigest}`;
}

/**
 * Opens the repo of a sysroot, or makes it; a run that stopped while it made one left a directory that is no repo yet.
 * A new repo is secure where the file system has fs-verity, else it warns.
 */
function openOrInitRepo(system: System, { files, paths }: WritableSysroot): WritableRepo {
  const open = () => openRepo(system.linux, paths.repo, { access: "write", wait: true });
  if (files.lstatIfExists(paths.repo) === undefined) makeRepo(system, paths.repo);
  try {
    return open();
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "not-found")) throw error;
    makeRepo(system, paths.repo);
    return open();
  }
}

function makeRepo(system: System, path: Path): void {
  try {
    initRepo(system.linux, path, defaultInitOptions);
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "unsupported")) throw error;
    const state = "This file system or kernel has no fs-verity";
    system.progress({
      kind: "warning",
      message: `${state}: the new repo is insecure, and nothing checks files when they are read`,
    });
    initRepo(system.linux, path, { ...defaultInitOptions, secure: false });
  }
}
