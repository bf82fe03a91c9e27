import { OsdeployError } from "../core/errors.ts";
import { systemCallError } from "./errno.ts";
import type { LinuxFiles, Path } from "./linux.ts";
import { childPath } from "./path.ts";

/**
 * Removes a file, or a directory with all that is in it, also where somebody protected them with `chattr +i` or `+a`. Symlinks
 * are not followed; what is already gone is fine.
 *
 * @throws OsdeployError `busy` where another file system is mounted: nothing in that one is touched.
 */
export function removeTree(files: LinuxFiles, path: Path): void {
  remove(files, path, undefined);
}

/** Removes what earlier runs left, as far as it can be removed, as {@link unlessRefused}. */
export function removeLeftovers(files: LinuxFiles, paths: readonly Path[]): readonly OsdeployError[] {
  return paths.flatMap((path) => unlessRefused(() => removeTree(files, path)));
}

/**
 * Removes what nobody needs any more: what a damaged directory or disk keeps is told, and is no reason for anything else to
 * fail. The next run tries again.
 */
export function unlessRefused(remove: () => void): readonly OsdeployError[] {
  try {
    remove();
    return [];
  } catch (error) {
    if (error instanceof OsdeployError) return [error];
    throw error;
  }
}

/** `above` is the directory that `path` is in, where that goes as well. */
function remove(files: LinuxFiles, path: Path, above: Place | undefined): void {
  const stat = files.lstatIfExists(path);
  if (stat === undefined) return;
  const around = above === undefined ? [] : [above.path];
  if (stat.kind === "directory") {
    const fileSystem = stat.identity.slice(0, stat.identity.indexOf(":"));
    // As rmdir(2) would say, but before what is mounted there is empty.
    if (above !== undefined && above.fileSystem !== fileSystem) {
      throw systemCallError({ verb: "remove the directory", path }, "EBUSY");
    }
    for (const name of files.readDirectory(path)) remove(files, childPath(path, name), { path, fileSystem });
    evenProtected(files, [path, ...around], () => files.removeDirectory(path));
  } else {
    // Only these can be protected; to open a device could do more than that.
    const own = stat.kind === "regular" ? [path] : [];
    evenProtected(files, [...own, ...around], () => files.unlink(path));
  }
}

interface Place {
  readonly path: Path;
  readonly fileSystem: string;
}

/** Does `action`, which the protection of one of `paths` may forbid: then that is taken, and it is done again. */
export function evenProtected(files: LinuxFiles, paths: readonly Path[], action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "permission-denied")) throw error;
    if (paths.filter((path) => files.takeProtection(path)).length === 0) throw error;
    action();
  }
}
