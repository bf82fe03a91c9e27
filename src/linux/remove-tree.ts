import type { LinuxFiles, Path } from "./linux.ts";
import { childPath } from "./path.ts";

/** Removes a file, or a directory with all that is in it. Symlinks are not followed; what is already gone is fine. */
export function removeTree(files: LinuxFiles, path: Path): void {
  const stat = files.lstatIfExists(path);
  if (stat === undefined) return;
  if (stat.kind === "directory") {
    for (const name of files.readDirectory(path)) removeTree(files, childPath(path, name));
    files.removeDirectory(path);
  } else {
    files.unlink(path);
  }
}
