import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";

/** A directory of one run, for all that is not on the disk yet. */
export interface StagingDirectory {
  readonly path: Path;
  /** Removes it with all that is in it. */
  close(): void;
}

const prefix = ".osdeploy-install-";

/**
 * Makes a staging directory in `parent`, and removes those of runs that were killed: a living run holds the lock of its own.
 */
export function openStagingDirectory({ files, clock }: Linux, parent: Path): StagingDirectory {
  removeDead(files, parent);
  const path = pathBelow(parent, `${prefix}${clock.randomName()}`);
  files.makeDirectory(path, 0o700);
  const fd = files.open(path, "directory");
  files.lock(fd, "exclusive", { wait: true });
  return {
    path,
    close: () => {
      removeTree(files, path);
      files.close(fd);
    },
  };
}

function removeDead(files: LinuxFiles, parent: Path): void {
  for (const name of files.readDirectory(parent)) {
    const path = childPath(parent, name);
    if (!name.startsWith(prefix) || files.lstat(path).kind !== "directory") continue;
    const fd = files.open(path, "directory");
    try {
      if (files.lock(fd, "exclusive", { wait: false })) removeTree(files, path);
    } finally {
      files.close(fd);
    }
  }
}
