import type { ByteString } from "../core/bytes/byte-string.ts";
import { isHex } from "../core/bytes/hex.ts";
import { digestLength, type ObjectId, type VerityAlgorithm } from "../core/digest/object-id.ts";
import { OsdeployError, unless } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import { objectsPath } from "./repo-paths.ts";

/** What lies in the object directory, by name only. */
export interface ObjectListing {
  /** Every name that an object of the repo's algorithm can have, in byte order. */
  readonly ids: ReadonlySet<ObjectId>;
  /** Everything else, as full paths: other programs' files, or leftovers of runs that stopped in the middle. */
  readonly strays: readonly Path[];
}

/**
 * Which objects exist: the names in at most 256 directories, 36 ms for 30 000. Says nothing about their content.
 */
export function listObjects(files: LinuxFiles, repoPath: Path, algorithm: VerityAlgorithm): ObjectListing {
  const ids = new Set<ObjectId>();
  const strays: Path[] = [];
  const restLength = digestLength(algorithm) - 1;
  for (const prefix of readDirectoryIfExists(files, objectsPath(repoPath))) {
    const directory = childPath(objectsPath(repoPath), prefix);
    if (!isHex(prefix, 1) || files.lstat(directory).kind !== "directory") {
      strays.push(directory);
      continue;
    }
    for (const rest of files.readDirectory(directory)) {
      if (isHex(rest, restLength)) ids.add(`${prefix}${rest}` as ObjectId);
      else strays.push(childPath(directory, rest));
    }
  }
  return { ids, strays };
}

/** Whether there is any object, or something that lies where objects lie. Ends at the first. */
export function hasObjects(files: LinuxFiles, repoPath: Path): boolean {
  const objects = objectsPath(repoPath);
  return readDirectoryIfExists(files, objects).some((prefix) => {
    const directory = childPath(objects, prefix);
    return files.lstat(directory).kind !== "directory" || files.readDirectory(directory).length > 0;
  });
}

/** The names in a directory; none where there is no directory. */
export function readDirectoryIfExists(files: LinuxFiles, path: Path): readonly ByteString[] {
  return unless("not-found", () => files.readDirectory(path)) ?? [];
}

/** Makes a directory where there is none, and says whether it did. */
export function ensureDirectory(files: LinuxFiles, path: Path, permissions: number): boolean {
  try {
    files.makeDirectory(path, permissions);
    return true;
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "already-exists")) throw error;
    return false;
  }
}
