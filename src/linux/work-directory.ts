import { fromText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Fd, Linux, LinuxFiles, Path } from "./linux.ts";
import { childPath } from "./path.ts";
import { removeTree } from "./remove-tree.ts";

/** A directory of one run, for what is not in its place yet. The run holds its lock, so others can tell when it has died. */
export interface WorkDirectory {
  readonly path: Path;
  /** Removes it with all that is in it. Calling it twice is fine. */
  close(): void;
}

/**
 * Makes a directory in `parent` whose name begins with `prefix`, and removes those of the same user whose run was killed. Who
 * else may write to `parent`, as in /var/tmp, can have nothing of his own removed, and nothing that he links to.
 *
 * @throws OsdeployError of the file system, when it cannot be made.
 */
export function openWorkDirectory(
  { files, clock }: Pick<Linux, "files" | "clock">,
  parent: Path,
  prefix: string,
): WorkDirectory {
  for (;;) {
    const path = childPath(parent, fromText(`${prefix}${clock.randomName()}`));
    files.makeDirectory(path, 0o700);
    const fd = lockedIfThere(files, path, { wait: true });
    // Between the two lines above it was nobody's: another run may have taken it for a dead one's.
    if (fd === undefined) continue;
    const own = files.lstat(path);
    removeDead(files, { parent, prefix, uid: own.uid });
    let isOpen = true;
    const close = () => {
      if (!isOpen) return;
      isOpen = false;
      try {
        removeTree(files, path);
      } finally {
        files.close(fd);
      }
    };
    return { path, close };
  }
}

/** Undefined when it has gone, or, without waiting, when another run holds it. */
function lockedIfThere(files: LinuxFiles, path: Path, options: { readonly wait: boolean }): Fd | undefined {
  let fd: Fd;
  try {
    fd = files.open(path, "directory");
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "not-found") return undefined;
    throw error;
  }
  const isOurs = files.lock(fd, "exclusive", options) && files.lstatIfExists(path) !== undefined;
  if (isOurs) return fd;
  files.close(fd);
  return undefined;
}

function removeDead(
  files: LinuxFiles,
  { parent, prefix, uid }: { readonly parent: Path; readonly prefix: string; readonly uid: number },
): void {
  for (const name of namesIn(files, parent)) {
    if (!name.startsWith(prefix)) continue;
    const path = childPath(parent, name);
    const stat = files.lstatIfExists(path);
    if (stat?.kind !== "directory" || stat.uid !== uid) continue;
    const fd = lockedIfThere(files, path, { wait: false });
    if (fd === undefined) continue;
    try {
      removeTree(files, path);
    } finally {
      files.close(fd);
    }
  }
}

/** Where a user may make directories without seeing what is there, nothing is found. */
function namesIn(files: LinuxFiles, parent: Path): readonly Path[] {
  try {
    return files.readDirectory(parent);
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "permission-denied") return [];
    throw error;
  }
}
