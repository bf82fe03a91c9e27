import { fromText } from "../core/bytes/byte-string.ts";
import { mountPointsBelow } from "../core/deployment/booted-root.ts";
import { OsdeployError, unless } from "../core/errors.ts";
import { systemCallError } from "./errno.ts";
import type { Linux, LinuxFiles, Path } from "./linux.ts";
import { openLocked } from "./locked-directory.ts";
import { readMountinfoIfThere } from "./mountinfo.ts";
import { childPath } from "./path.ts";
import { removeTree, unlessRefused } from "./remove-tree.ts";

/** A directory of one run, for what is not in its place yet. The run holds its lock, so others can tell when it has died. */
export interface WorkDirectory {
  readonly path: Path;
  /** What kept leftovers of killed runs there when it was made. */
  readonly leftovers: readonly OsdeployError[];
  /** Removes it with all that is in it, and says what keeps parts of it there. Calling it twice is fine. */
  close(): readonly OsdeployError[];
}

type WorkLinux = Pick<Linux, "files" | "mounts" | "clock">;

/**
 * Makes a directory in `parent` whose name begins with `prefix`, and removes those of the same user whose run was killed, with
 * what is mounted in them. Who else may write to `parent`, as in /var/tmp, can have nothing of his own removed, and nothing that
 * he links to.
 *
 * @throws OsdeployError of the file system, when it cannot be made.
 */
export function openWorkDirectory(linux: WorkLinux, parent: Path, prefix: string): WorkDirectory {
  const { files, clock } = linux;
  for (;;) {
    const path = childPath(parent, fromText(`${prefix}${clock.randomName()}`));
    makeIn(files, parent, path);
    const fd = openLocked(files, path, { wait: true });
    // Between the two lines above it was nobody's: another run may have taken it for a dead one's.
    if (fd === undefined) continue;
    let isOpen = true;
    const close = () => {
      if (!isOpen) return [];
      isOpen = false;
      try {
        return unlessRefused(() => removeWithMounts(linux, path));
      } finally {
        files.close(fd);
      }
    };
    try {
      const own = files.lstat(path);
      return { path, leftovers: removeDead(linux, { parent, prefix, uid: own.uid }), close };
    } catch (error) {
      close();
      throw error;
    }
  }
}

/** Makes the directory `path`; an error names `parent`, which is what its user knows. */
function makeIn(files: LinuxFiles, parent: Path, path: Path): void {
  try {
    files.makeDirectory(path, 0o700);
  } catch (error) {
    const errno = error instanceof OsdeployError ? error.facts["errno"] : undefined;
    throw typeof errno === "string" ? systemCallError({ verb: "write to", path: parent }, errno, error) : error;
  }
}

function removeDead(
  linux: WorkLinux,
  { parent, prefix, uid }: { readonly parent: Path; readonly prefix: string; readonly uid: number },
): readonly OsdeployError[] {
  const { files } = linux;
  const names = namesIn(files, parent).filter((name) => name.startsWith(prefix));
  return names.flatMap((name) =>
    unlessRefused(() => {
      const path = childPath(parent, name);
      const stat = files.lstatIfExists(path);
      if (stat?.kind !== "directory" || stat.uid !== uid) return;
      const fd = openLocked(files, path, { wait: false });
      if (fd === undefined) return;
      try {
        removeWithMounts(linux, path);
      } finally {
        files.close(fd);
      }
    }),
  );
}

/** A run that is killed leaves mounted what it had mounted: removed with that, its files would go, and its mount point stay. */
function removeWithMounts({ files, mounts }: WorkLinux, path: Path): void {
  for (const mountPoint of mountPointsIn(files, path)) mounts.unmount(mountPoint);
  removeTree(files, path);
}

function mountPointsIn(files: LinuxFiles, path: Path): readonly Path[] {
  return mountPointsBelow(readMountinfoIfThere(files), files.realPath(path)) as readonly Path[];
}

/** Where a user may make directories without seeing what is there, nothing is found. */
function namesIn(files: LinuxFiles, parent: Path): readonly Path[] {
  return unless("permission-denied", () => files.readDirectory(parent)) ?? [];
}
