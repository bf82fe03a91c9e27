import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import { withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";

/** No loader reads a file whose name ends so: it was never finished. */
export const unfinishedSuffix = ".new";

/**
 * Writes a file of the boot partition mounted at `boot`, durable, under a temporary name: synced, renamed, synced. Works on
 * vfat, and a crash leaves what was there or the new file.
 *
 * @throws OsdeployError `already-exists` when the name is taken and `replace` is false; `damaged` when what was written cannot be
 * read back.
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
    checkWritten(files, temporary, bytes);
    files.rename(temporary, path, { replace });
    files.syncFileSystem(fd);
  });
}

function checkWritten(files: LinuxFiles, path: Path, bytes: Uint8Array): void {
  const isSame = files.lstat(path).sizeBytes === bytes.length && areEqual(files.readFile(path, bytes.length), bytes);
  if (isSame) return;
  throw new OsdeployError("damaged", `Cannot write "${toText(path)}": what was written is not what is there`);
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => byte === b[index]);
}
