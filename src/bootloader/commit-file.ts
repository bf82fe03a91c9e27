import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import { withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { removeTree } from "../linux/remove-tree.ts";

/** No loader reads a file whose name ends so: it was never finished. */
export const unfinishedSuffix = ".new";

/** What to do when a file does not read back as it was written. */
export const failingDiskHint = "The disk may be failing: look at what the kernel says of it, then run it again";

/**
 * Writes a file of the boot partition mounted at `boot`, durable, under a temporary name: synced, renamed, synced. Works on
 * vfat, and a crash leaves what was there or the new file. What fails leaves nothing under the temporary name.
 *
 * @throws OsdeployError `already-exists` when the name is taken and `replace` is false; `damaged` when what was written cannot be
 * read back.
 */
export function commitFile(
  files: LinuxFiles,
  boot: Path,
  path: Path,
  bytes: Uint8Array,
  options: { readonly replace: boolean },
): void {
  writeUnfinished(files, boot, path, bytes);
  nameFinished(files, boot, path, options);
}

/**
 * The first half of {@link commitFile}: the file is whole and durable, and has its temporary name. It is never more than
 * something that a stopped run left, until {@link nameFinished}.
 */
export function writeUnfinished(files: LinuxFiles, boot: Path, path: Path, bytes: Uint8Array): void {
  const temporary = `${path}${unfinishedSuffix}` as Path;
  removeUnfinished(files, path);
  withOpen(files, boot, "directory", (fd) => {
    try {
      files.writeNewFile(temporary, bytes, 0o644);
      files.syncFileSystem(fd);
      checkWritten(files, temporary, bytes);
    } catch (error) {
      // What cannot be removed goes the next time.
      unlessFailing(() => removeUnfinished(files, path));
      throw error;
    }
  });
}

/** The second half of {@link commitFile}: what {@link writeUnfinished} wrote gets its name, durable. */
export function nameFinished(
  files: LinuxFiles,
  boot: Path,
  path: Path,
  { replace }: { readonly replace: boolean },
): void {
  const temporary = `${path}${unfinishedSuffix}` as Path;
  withOpen(files, boot, "directory", (fd) => {
    const isExchanged = replace && files.lstatIfExists(path) !== undefined && files.exchange(temporary, path);
    if (!isExchanged) files.rename(temporary, path, { replace });
    files.syncFileSystem(fd);
    if (!isExchanged) return;
    // FAT frees what a rename replaces before the directory that no longer names it is on the disk: what the old name leads to
    // could be cut off by then. So nothing is freed before the new name is durable, and nothing new takes its place before that is.
    files.unlink(temporary);
    files.syncFileSystem(fd);
  });
}

/** Takes away what a stopped run left of a file that {@link commitFile} was to write. */
export function removeUnfinished(files: LinuxFiles, path: Path): void {
  removeTree(files, `${path}${unfinishedSuffix}` as Path);
}

function checkWritten(files: LinuxFiles, path: Path, bytes: Uint8Array): void {
  const isSame = files.lstat(path).sizeBytes === bytes.length && areEqual(files.readFile(path, bytes.length), bytes);
  if (isSame) return;
  throw new OsdeployError("damaged", `Cannot write "${toText(path)}": what was written is not what is there`, {
    facts: { hint: failingDiskHint },
  });
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => byte === b[index]);
}
