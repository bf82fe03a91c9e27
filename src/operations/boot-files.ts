import { freeBootSpace } from "../bootloader/free-boot-space.ts";
import {
  addKernel,
  listKernels,
  measureKernel,
  type NewKernel,
  type StoredKernel,
} from "../bootloader/kernel-store.ts";
import { findKernel, type Kernel } from "../core/boot/kernel.ts";
import { type BootSpacePlan, type BootSpaceRequest, planBootSpace } from "../core/boot/plan-boot-space.ts";
import { toBytes } from "../core/bytes/byte-string.ts";
import type { SysrootState } from "../core/deployment/deployment.ts";
import { planDeploymentGc } from "../core/deployment/plan-deployment-gc.ts";
import { parseObjectId } from "../core/digest/object-id.ts";
import { assert } from "../core/errors.ts";
import type { FileContent, FileTree } from "../core/tree/inode.ts";
import type { ContentSource } from "../linux/file-content.ts";
import { onSameFileSystem } from "../linux/file-system.ts";
import { makeDirectories } from "../linux/make-directories.ts";
import { pathBelow } from "../linux/path.ts";
import { soundObjectPath } from "../repo/read-object.ts";
import type { Repo } from "../repo/repo.ts";
import { dropStaged } from "../sysroot/staged-marker.ts";
import type { Sysroot } from "../sysroot/sysroot.ts";
import type { WritableSystem } from "./writable-system.ts";

/** A kernel on the boot partition, as a boot entry names it. */
export interface BootFiles extends StoredKernel {
  /** The kernel's version, as its modules' directory has it. */
  readonly version: string;
  readonly bootDigest: string;
}

/**
 * Puts the kernel of a tree on the boot partition, durable. Where it does not fit, what the plan says goes before: kernels
 * that no entry names, then the oldest deployments' entries; never what a gc would keep.
 *
 * @throws OsdeployError `not-bootable`; `no-space` with the numbers, before anything was touched.
 */
export function storeBootFiles(writable: WritableSystem, repo: Repo, tree: FileTree): BootFiles {
  const { files, paths } = writable.sysroot;
  const kernel = findKernel(tree);
  const newKernel = kernelSources(repo, kernel);
  const { bootDigest } = newKernel;
  makeDirectories(files, paths.root, "boot");
  makeRoom(writable, kernel, bootDigest);
  // With the dot, what a link leads to counts.
  const isOwnPartition = !onSameFileSystem(files.lstat(pathBelow(paths.boot, ".")), files.lstat(paths.deployments));
  const stored = addKernel(files, paths.boot, newKernel, isOwnPartition ? "" : "/boot");
  return { ...stored, version: kernel.version, bootDigest };
}

function makeRoom(
  { sysroot, bootloader, state }: WritableSystem,
  { vmlinuz, initramfs }: Kernel,
  bootDigest: string,
): void {
  const { files, paths } = sysroot;
  const [vmlinuzBytes, initramfsBytes] = [sizeOf(vmlinuz.content), sizeOf(initramfs.content)];
  const plan = planRoom(sysroot, state, { bootDigest, vmlinuzBytes, initramfsBytes });
  const stagedKernel = state.staged?.origin.bootDigest;
  // What was staged before is about to be replaced; it must not be committed once its kernel is gone.
  if (stagedKernel !== undefined && plan.removeKernels.includes(stagedKernel)) dropStaged(sysroot);
  freeBootSpace(files, paths.boot, bootloader, plan);
}

/**
 * Decides how a kernel gets onto the boot partition of a sysroot.
 *
 * @throws OsdeployError `no-space` with the numbers.
 */
export function planRoom(
  { files, paths }: Pick<Sysroot, "files" | "paths">,
  state: SysrootState,
  newKernel: BootSpaceRequest["newKernel"],
): BootSpacePlan {
  const removable = new Set(planDeploymentGc(state, { keep: 0 }).entries);
  const kept = state.menu.entries.filter((entry) => !removable.has(entry));
  return planBootSpace({
    menu: state.menu,
    kernels: listKernels(files, paths.boot),
    newKernel,
    protectedEntries: new Set(kept.map(({ sequence }) => sequence)),
    heldByOthers: state.heldByOthers,
    availableBytes: files.space(paths.boot).availableBytes,
  });
}

/** Where the files of a kernel of the image lie, and what they measure to. */
export function kernelSources(repo: Repo, kernel: Pick<Kernel, "vmlinuz" | "initramfs">): NewKernel {
  const vmlinuz = contentSource(repo, kernel.vmlinuz.content);
  const initramfs = contentSource(repo, kernel.initramfs.content);
  return { bootDigest: measureKernel(repo.files, [vmlinuz, initramfs]), vmlinuz, initramfs };
}

function sizeOf(content: FileContent): number {
  return content.kind === "inline" ? content.bytes.length : Number(content.sizeBytes);
}

/** Where the bytes of a file of the image lie; checked, for what is deployed is no longer checked by a digest. */
export function contentSource(repo: Repo, content: FileContent): ContentSource {
  if (content.kind === "inline") return { kind: "bytes", bytes: toBytes(content.bytes) };
  assert(content.digest !== undefined, "every external file of a root image has a digest");
  return { kind: "file", path: soundObjectPath(repo, parseObjectId(content.digest, repo.algorithm)) };
}
