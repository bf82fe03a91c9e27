import { withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";

/** No loader reads a file whose name ends so: it was never finished. */
export const unfinishedSuffix = ".new";

/**
 * Writes a file of the boot partition mounted at `boot`, durable, under a temporary name: synced, renamed, synced. Works on
 * vfat, and a crash leaves what was there or the new file.
 *
 * @throws OsdeployError `already-exists` when the name is taken and `replace` is false.
 */
export function commitFile(
  files: LinuxFiles,
  boot: Path,
  path: Path,
  bytes: Uint8Array,
  { replace }: { readonly replace: boolean },
): void {
  const temporary = `${path}${unfinishedSuffix}` as Path;
  if (files.lstatIfExists(temporary) !== undefined) files.unlink(temporary);
  files.writeNewFile(temporary, bytes, 0o644);
  withOpen(files, boot, "directory", (fd) => {
    files.syncFileSystem(fd);
    files.rename(temporary, path, { replace });
    files.syncFileSystem(fd);
  });
}
