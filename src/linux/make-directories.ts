import type { LinuxFiles, Path } from "./linux.ts";
import { pathBelow } from "./path.ts";

/**
 * Makes the directories of `path`, plain text with slashes, below `top`, which is there: each inside the one before, where they
 * are missing.
 *
 * @returns the last of them.
 */
export function makeDirectories(files: LinuxFiles, top: Path, path: string): Path {
  return path
    .split("/")
    .filter((name) => name !== "")
    .reduce<Path>((parent, name) => {
      const directory = pathBelow(parent, name);
      if (files.lstatIfExists(directory) === undefined) files.makeDirectory(directory, 0o755);
      return directory;
    }, top);
}

/** Makes the directories above `path`, as {@link makeDirectories} does. */
export function makeParents(files: LinuxFiles, top: Path, path: string): void {
  makeDirectories(files, top, path.slice(0, Math.max(0, path.lastIndexOf("/"))));
}
