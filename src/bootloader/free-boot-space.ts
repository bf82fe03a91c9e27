import type { BootSpacePlan } from "../core/boot/plan-boot-space.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import type { Bootloader } from "./bootloader.ts";
import { removeKernels } from "./kernel-store.ts";

/**
 * Removes what a plan says must go before a new kernel is copied. Entries are gone, durably, before the kernels that they
 * name: at every moment each entry's kernel is there.
 */
export function freeBootSpace(
  files: LinuxFiles,
  boot: Path,
  bootloader: Bootloader,
  plan: Pick<BootSpacePlan, "removeEntries" | "removeKernels">,
): void {
  bootloader.removeEntries(plan.removeEntries);
  removeKernels(files, boot, plan.removeKernels);
}
