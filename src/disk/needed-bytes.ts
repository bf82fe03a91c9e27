import type { DiskStep } from "../core/disk/disk-step.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import { pathsBelow } from "./esp.ts";

const mebibyte = 1024 * 1024;
const blockBytes = 4096;
/** The largest cluster of a FAT file system of usual size. */
const clusterBytes = 32 * 1024;
/** The journal, inode tables and what else ext4 keeps for itself; measured from 1 to 64 GiB. */
const ext4Bytes = 160 * mebibyte;
const ext4Share = 1.06;

/** What is needed for file systems in which nothing is. */
export const leastRootBytes = ext4Bytes;
export const leastFatBytes = 2 * mebibyte + clusterBytes;

/** What a root file system needs at least for its contents, with what it keeps for itself. */
export function neededRootBytes(files: LinuxFiles, steps: readonly DiskStep[]): number {
  let root = 0;
  for (const step of steps) {
    if (step.content.kind === "directory") root += blockBytes;
    if (step.content.kind !== "file") continue;
    const { sizeBytes } = files.lstat(step.content.source);
    // A tail starts behind a hole of up to 64 KiB, which takes no room; what it takes is a 64th of the data, and a block or two.
    const { sealedBytes } = step.content;
    root +=
      sealedBytes === undefined ? wholeBlocks(sizeBytes) : wholeBlocks(sealedBytes * (1 + 1 / 63)) + 3 * blockBytes;
  }
  return Math.ceil(root * ext4Share) + ext4Bytes;
}

/** What a FAT partition needs at least for all that is in a directory, tables included. */
export function neededFatBytes(files: LinuxFiles, directory: Path): number {
  const content = pathsBelow(files, directory)
    .map((path) => files.lstat(childPath(directory, path)).sizeBytes)
    .reduce((sum, sizeBytes) => sum + Math.ceil(sizeBytes / clusterBytes + 1) * clusterBytes, 0);
  return content + 2 * mebibyte;
}

function wholeBlocks(sizeBytes: number): number {
  return Math.ceil(sizeBytes / blockBytes) * blockBytes;
}
