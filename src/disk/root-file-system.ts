import type { Linux, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { makeSparseFile, withLoopMount } from "./loop-mount.ts";
import { runTool, type ToolName } from "./tools.ts";

/** The root file systems that disks are made with. */
export type RootFileSystem = "ext4" | "btrfs" | "xfs";

/** What making one needs. ext4 is made without a mount; the others only by the kernel. */
export const rootFileSystemTools: Readonly<Record<RootFileSystem, readonly ToolName[]>> = {
  ext4: ["mkfs.ext4", "debugfs", "e2fsck"],
  btrfs: ["mkfs.btrfs", "mount", "umount"],
  xfs: ["mkfs.xfs", "mount", "umount"],
};

/** The least that btrfs and xfs take. */
const probeBytes = 512 * 1024 * 1024;

/**
 * Whether files of a new root file system can be sealed: those of ext4 always, for that is done without the kernel; of
 * btrfs where this machine's kernel can, which is tried out in `staging`; xfs has no fs-verity.
 */
export function canSeal(linux: Linux, type: RootFileSystem, staging: Path): boolean {
  if (type !== "btrfs") return type === "ext4";
  const image = pathBelow(staging, "probe.img");
  makeSparseFile(linux.files, image, probeBytes);
  runTool(linux.programs, ["mkfs.btrfs", "-q", image]);
  try {
    return withLoopMount(linux, image, (top) => {
      const probe = pathBelow(top, "probe");
      linux.files.writeNewFile(probe, new Uint8Array(1), 0o600);
      return linux.files.enableVerity(probe, "sha512");
    });
  } finally {
    linux.files.unlink(image);
  }
}
