import { blsField } from "./bls-entry.ts";
import type { BootEntry } from "./boot-menu.ts";

/** What lies in a kernel's directory on the boot partition, in the order in which the boot digest covers it. */
export const kernelFileNames = ["vmlinuz", "initramfs.img"] as const;

/** A kernel on the boot partition as its directory lists it: whole or not, and perhaps with what a crash left. */
export interface StoredKernelSize {
  /** The directory's name: sha256 over kernel and initramfs, lower-case hex. */
  readonly bootDigest: string;
  readonly files: readonly { readonly name: string; readonly sizeBytes: number }[];
}

/** The boot digest of the kernel that an entry boots; undefined where it names another's kernel, as bootc's. */
export function bootDigestOfEntry({ entry }: Pick<BootEntry, "entry">): string | undefined {
  return /^(?:\/boot)?\/osdeploy\/([0-9a-f]{64})\/vmlinuz$/.exec(blsField(entry, "linux") ?? "")?.[1];
}

/** The boot digests that no entry names, and nothing of others': their entries can be ours under another name. */
export function unusedKernels(
  kernels: readonly Pick<StoredKernelSize, "bootDigest">[],
  entries: readonly Pick<BootEntry, "entry">[],
  heldByOthers: ReadonlySet<string>,
): readonly string[] {
  const named = new Set(entries.map(bootDigestOfEntry));
  const isUsed = (bootDigest: string) => named.has(bootDigest) || heldByOthers.has(bootDigest);
  return kernels.map(({ bootDigest }) => bootDigest).filter((bootDigest) => !isUsed(bootDigest));
}

/** Whether both files of a kernel are there, and hold something: what an unclean stop leaves on vfat can be empty. */
export function isKernelThere(kernels: readonly StoredKernelSize[], bootDigest: string): boolean {
  const stored = kernels.find((kernel) => kernel.bootDigest === bootDigest)?.files ?? [];
  return kernelFileNames.every((own) => stored.some(({ name, sizeBytes }) => name === own && sizeBytes > 0));
}
