import { OsdeployError } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";

/** What a loader's own files are at most; larger ones are somebody's mistake. */
const smallBytes = 4 * 1024 * 1024;

/**
 * A file of the boot partition; undefined where it is missing, and also where it is too large, is no file, or the disk does not
 * give it back, which must never break a command. Only for what may be either.
 *
 * @throws OsdeployError `permission-denied`: who may not look must not be told that there is nothing.
 */
export function readIfReadable(files: LinuxFiles, path: Path, limitBytes = smallBytes): Uint8Array | undefined {
  try {
    return files.readFile(path, limitBytes);
  } catch (error) {
    if (error instanceof OsdeployError && error.code !== "permission-denied") return undefined;
    throw error;
  }
}
