import { listKernels } from "../bootloader/kernel-store.ts";
import { bootEntryId } from "../core/boot/boot-menu.ts";
import { findKernel, type Kernel } from "../core/boot/kernel.ts";
import { kernelFileNames } from "../core/boot/kernel-files.ts";
import type { SysrootState } from "../core/deployment/deployment.ts";
import { OsdeployError } from "../core/errors.ts";
import type { FileTree } from "../core/tree/inode.ts";
import type { Repo } from "../repo/repo.ts";
import type { Sysroot } from "../sysroot/sysroot.ts";
import { kernelSources, planRoom } from "./boot-files.ts";
import { awaitedDigest } from "./held-contents.ts";
import { sizeOf, type Untold, untoldBy } from "./planned-tree.ts";

/** What the boot partition has to hold before the new deployment boots. */
export type BootPlan =
  | {
      readonly kind: "fits";
      readonly kernel: string;
      /** sha256 over kernel and initramfs, lower-case hex; null where their bytes are not here, or need not be read. */
      readonly bootDigest: string | null;
      /** Whether its files have to be copied; null where only its sizes are known, and there is one of the same here. */
      readonly isNewKernel: boolean | null;
      /** Kernel and initramfs. */
      readonly kernelBytes: number;
      /** What is taken at the most, entry and directories included, each rounded up to whole clusters. */
      readonly neededBytes: number;
      readonly availableBytes: number;
      /** What goes before the first byte is copied, because it would not fit otherwise. */
      readonly removedEntries: readonly string[];
      readonly removedKernels: readonly string[];
      readonly freedBytes: number;
    }
  | {
      readonly kind: "no-space";
      readonly kernel: string;
      readonly neededBytes: number;
      readonly availableBytes: number;
      /** What could be removed for it at the most. */
      readonly freeableBytes: number;
    }
  | { readonly kind: "not-bootable"; readonly reason: string }
  | Untold;

/** Decides by the kernel in a tree what the boot partition of a sysroot has to hold, as a deployment does before it copies. */
export function planBoot(
  repo: Repo,
  { sysroot, state }: { readonly sysroot: Sysroot; readonly state: SysrootState },
  tree: FileTree,
): BootPlan {
  let version = "";
  try {
    const kernel = findKernel(tree);
    version = kernel.version;
    const { bootDigest, isNewKernel } = compareKernel(repo, sysroot, kernel);
    const [vmlinuzBytes, initramfsBytes] = [sizeOf(kernel.vmlinuz.content), sizeOf(kernel.initramfs.content)];
    const plan = planRoom(sysroot, state, { bootDigest, vmlinuzBytes, initramfsBytes });
    return {
      kind: "fits",
      kernel: version,
      bootDigest: bootDigest === noDigest ? null : bootDigest,
      isNewKernel,
      kernelBytes: vmlinuzBytes + initramfsBytes,
      neededBytes: plan.neededBytes,
      availableBytes: plan.availableBytes,
      removedEntries: plan.removeEntries.map(({ sequence }) => bootEntryId(sequence)),
      removedKernels: plan.removeKernels,
      freedBytes: plan.freedBytes,
    };
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "not-bootable") {
      return { kind: "not-bootable", reason: error.message };
    }
    if (error instanceof OsdeployError && error.code === "no-space") return noSpace(version, error);
    return untoldBy(error);
  }
}

function noSpace(kernel: string, { facts }: OsdeployError): BootPlan {
  const bytes = (fact: "neededBytes" | "availableBytes" | "freeableBytes") => ({ [fact]: Number(facts[fact]) });
  return {
    ...{ kind: "no-space", kernel, neededBytes: 0, availableBytes: 0, freeableBytes: 0 },
    ...bytes("neededBytes"),
    ...bytes("availableBytes"),
    ...bytes("freeableBytes"),
  };
}

/** No kernel has this digest: for one whose bytes are not here. */
const noDigest = "";

/** Whether the kernel is on the boot partition: by its digest where its bytes are here, else by the sizes of its files. */
function compareKernel(
  repo: Repo,
  { files, paths }: Sysroot,
  { vmlinuz, initramfs }: Kernel,
): { readonly bootDigest: string; readonly isNewKernel: boolean | null } {
  const contents = [vmlinuz.content, initramfs.content];
  const stored = listKernels(files, paths.boot);
  const sizes = contents.map(sizeOf);
  const alike = stored.filter((kernel) =>
    kernelFileNames.every((name, index) =>
      kernel.files.some((file) => file.name === name && file.sizeBytes === sizes[index]),
    ),
  );
  // Of other sizes it cannot be the same: nothing needs to be read.
  if (alike.length === 0) return { bootDigest: noDigest, isNewKernel: true };
  if (contents.some((content) => awaitedDigest(content) !== undefined)) {
    return { bootDigest: noDigest, isNewKernel: null };
  }
  const { bootDigest } = kernelSources(repo, { vmlinuz, initramfs });
  return { bootDigest, isNewKernel: !alike.some((kernel) => kernel.bootDigest === bootDigest) };
}
