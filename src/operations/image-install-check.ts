import { findKernel } from "../core/boot/kernel.ts";
import { missingDrivers } from "../core/boot/kernel-drivers.ts";
import { kernelVerity } from "../core/boot/kernel-version.ts";
import { OsdeployError } from "../core/errors.ts";
import type { FileTree } from "../core/tree/inode.ts";
import type { Path } from "../linux/linux.ts";
import { readImageText } from "./image-content.ts";
import type { InstallImage } from "./install-image.ts";
import { rootKeyFiles } from "./root-keys.ts";
import type { System } from "./system.ts";

/**
 * A check of the image for before anything of it is named: its kernel is the one that has to mount the root, not the kernel
 * of this machine, and there has to be a place for root's keys.
 *
 * @returns a function that throws OsdeployError `not-bootable` where the kernel cannot check files and has to, and what
 * {@link rootKeyFiles} throws.
 */
export function checkImageForInstall(
  system: System,
  request: { readonly allowMissingVerity: boolean; readonly rootKeys: Path | undefined },
): (tree: FileTree) => void {
  return (tree) => {
    checkKernel(system, findKernel(tree).version, request);
    rootKeyFiles(system, tree, request.rootKeys);
  };
}

function checkKernel(
  { progress }: System,
  name: string,
  { allowMissingVerity }: { readonly allowMissingVerity: boolean },
): void {
  const verity = kernelVerity(name);
  if (verity.kind === "checks") return;
  if (verity.kind === "unknown") {
    const message = `The image's kernel "${name}" has no version that can be compared: nobody knows whether it checks files`;
    progress({ kind: "warning", message });
  } else if (allowMissingVerity && verity.kind === "cannot") {
    const message = `The image's kernel ${name} cannot check files (${verity.reason}): it is told not to`;
    progress({ kind: "warning", message });
  } else {
    const state = `its kernel is ${name}, and ${verity.reason}`;
    const hint = `Use an image with another kernel${verity.kind === "cannot" ? ", or --allow-missing-verity" : ""}`;
    throw new OsdeployError("not-bootable", `Cannot install this image: ${state}`, { facts: { kernel: name, hint } });
  }
}

/** The file systems of a machine that is to be, by the kernel's names of them. */
export interface DiskDemand {
  readonly root: string;
  /** Undefined where /boot is on the root file system. */
  readonly boot: string | undefined;
  readonly verity: boolean;
}

/**
 * Whether the kernel of the image can start from the disk that it is for, by the lists of its modules: what mounts the root is
 * in that kernel, whatever this machine's kernel can do. /boot is mounted later, and a boot goes on without: there it warns.
 *
 * @throws OsdeployError `not-bootable` where it lacks something.
 */
export function checkDrivers(
  { progress }: Pick<System, "progress">,
  { repo, tree }: Pick<InstallImage, "repo" | "tree">,
  { root, boot, verity }: DiskDemand,
): void {
  const { version } = findKernel(tree);
  const text = (name: string) => readImageText(repo, tree, [`usr/lib/modules/${version}/${name}`]);
  const kernel = { version, modules: text("modules.dep"), builtin: text("modules.builtin"), config: text("config") };
  const missing = missingDrivers(kernel, { fileSystems: [root], verity });
  if (missing.length === 0) {
    if (boot === undefined || missingDrivers(kernel, { fileSystems: [boot], verity: false }).length === 0) return;
    const message = `The image's kernel ${version} has no ${boot} in its lists: without it /boot is not mounted, and no entry can be changed there`;
    progress({ kind: "warning", message });
    return;
  }
  throw new OsdeployError(
    "not-bootable",
    `Cannot install this image: its kernel ${version} has no ${missing.join(", no ")}`,
    {
      facts: { kernel: version, hint: "Use an image with another kernel, or choose another file system" },
    },
  );
}
