import { toText } from "../core/bytes/byte-string.ts";
import { withOpen } from "../linux/file-content.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { runTool } from "./tools.ts";

/** Makes a new file of this size that is all holes. */
export function makeSparseFile(files: LinuxFiles, path: Path, sizeBytes: number): void {
  withOpen(files, path, "create", (fd) => files.setSize(fd, sizeBytes));
}

/**
 * Mounts the file system in a file beside it, for the time of `use`; all that was written is in the file afterwards. Needs root.
 * Where it cannot be unmounted, its mount point stays, and that is the error.
 */
export function withLoopMount<T>({ files, programs }: Linux, image: Path, use: (top: Path) => T): T {
  const top = `${image}.mounted` as Path;
  files.makeDirectory(top, 0o700);
  try {
    runTool(programs, ["mount", "-o", "loop", toText(image), toText(top)]);
  } catch (error) {
    files.removeDirectory(top);
    throw error;
  }
  try {
    return use(top);
  } finally {
    runTool(programs, ["umount", toText(top)]);
    files.removeDirectory(top);
  }
}
