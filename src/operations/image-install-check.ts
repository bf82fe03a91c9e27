import { findKernel } from "../core/boot/kernel.ts";
import { kernelVerity } from "../core/boot/kernel-version.ts";
import { OsdeployError } from "../core/errors.ts";
import type { FileTree } from "../core/tree/inode.ts";
import type { Path } from "../linux/linux.ts";
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
  } else if (allowMissingVerity) {
    const message = `The image's kernel ${name} cannot check files (${verity.reason}): it is told not to`;
    progress({ kind: "warning", message });
  } else {
    const state = `its kernel is ${name}, and ${verity.reason}`;
    throw new OsdeployError("not-bootable", `Cannot install this image: ${state}`, {
      facts: { kernel: name, hint: "Use an image with another kernel, or --allow-missing-verity" },
    });
  }
}
