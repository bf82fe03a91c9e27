import { unless } from "../core/errors.ts";
import type { Fd, LinuxFiles, Path } from "./linux.ts";

/**
 * Opens a directory and takes its lock, which dies with the run: undefined when it has gone, also while the lock was waited for,
 * or, without waiting, when another run holds it.
 */
export function openLocked(files: LinuxFiles, path: Path, options: { readonly wait: boolean }): Fd | undefined {
  const fd = unless("not-found", () => files.open(path, "directory"));
  if (fd === undefined) return undefined;
  const isOurs =
    files.lock(fd, "exclusive", options) && files.lstatIfExists(path)?.identity === files.fstat(fd).identity;
  if (isOurs) return fd;
  files.close(fd);
  return undefined;
}
