import type { LinuxFiles, Path } from "../linux/linux.ts";
import { openLocked } from "../linux/locked-directory.ts";
import { childPath } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";
import { readDirectoryIfExists } from "./object-listing.ts";
import { isPartialLayer } from "./partial-layer.ts";
import { stagingPath } from "./repo-paths.ts";

/**
 * The staging directories of runs that are dead. A run holds an flock on its directory as long as it lives, and the
 * kernel drops it however the run ends; so a directory whose lock is free belongs to nobody.
 */
export function listDeadStaging(files: LinuxFiles, repoPath: Path): readonly Path[] {
  const dead: Path[] = [];
  for (const name of readDirectoryIfExists(files, stagingPath(repoPath))) {
    if (isPartialLayer(name)) continue;
    const path = childPath(stagingPath(repoPath), name);
    if (withDeadStaging(files, path, () => {})) dead.push(path);
  }
  return dead;
}

/** Removes the staging directories of dead runs and says which. Content that nothing names, so the order is free. */
export function removeDeadStaging(files: LinuxFiles, repoPath: Path): readonly Path[] {
  const removed: Path[] = [];
  for (const name of readDirectoryIfExists(files, stagingPath(repoPath))) {
    if (isPartialLayer(name)) continue;
    const path = childPath(stagingPath(repoPath), name);
    // Under the lock: a run that has just made this directory and waits for its lock finds it gone and makes another.
    if (withDeadStaging(files, path, () => removeTree(files, path))) removed.push(path);
  }
  return removed;
}

/** Runs `act` while it holds the lock of a dead run's directory; false when the run lives or somebody was faster. */
function withDeadStaging(files: LinuxFiles, path: Path, act: () => void): boolean {
  const fd = openLocked(files, path, { wait: false });
  if (fd === undefined) return false;
  try {
    act();
    return true;
  } finally {
    files.close(fd);
  }
}
