import { fromText, toText } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import type { FileTree, RegularFile } from "../tree/inode.ts";
import { findDirectory } from "../tree/tree-path.ts";

/** The kernel that an image boots, and its initramfs, as files of the image's tree. */
export interface Kernel {
  /** The name of its directory in `/usr/lib/modules`, for example `6.12.107+deb13-cloud-amd64`. */
  readonly version: string;
  readonly vmlinuz: RegularFile;
  readonly initramfs: RegularFile;
}

/**
 * Finds the kernel of an OS image where bootc and composefs-rs look for it: `/usr/lib/modules/VERSION/vmlinuz` with
 * `initramfs.img` beside it.
 *
 * @throws OsdeployError `not-bootable` when there is none, more than one, or one without initramfs.
 */
export function findKernel(tree: FileTree): Kernel {
  const modules = findDirectory(tree, fromText("usr/lib/modules"));
  const kernels = [...(modules?.entries ?? [])].flatMap(([name, inode]) => {
    const vmlinuz = inode.kind === "directory" ? inode.entries.get(fromText("vmlinuz")) : undefined;
    return inode.kind === "directory" && vmlinuz?.kind === "regular" ? [{ name, directory: inode, vmlinuz }] : [];
  });
  const [found, second] = kernels;
  if (found === undefined) {
    throw notBootable("it has no kernel: there is no /usr/lib/modules/VERSION/vmlinuz");
  }
  if (second !== undefined) {
    throw notBootable(
      `it has ${kernels.length} kernels (${kernels
        .map(({ name }) => toText(name))
        .sort()
        .join(", ")}); an OS image must hold exactly one`,
    );
  }
  const version = toText(found.name);
  const initramfs = found.directory.entries.get(fromText("initramfs.img"));
  if (initramfs?.kind !== "regular") {
    throw notBootable(`kernel ${version} has no initramfs: there is no /usr/lib/modules/${version}/initramfs.img`);
  }
  return { version, vmlinuz: found.vmlinuz, initramfs };
}

function notBootable(state: string): OsdeployError {
  return new OsdeployError("not-bootable", `Cannot boot this image: ${state}`);
}
