import { toText } from "../core/bytes/byte-string.ts";
import { isHex } from "../core/bytes/hex.ts";
import type { ObjectId, VerityAlgorithm } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import { newRepoMeta, type RepoMeta } from "./meta-file.ts";
import { readDirectoryIfExists } from "./object-listing.ts";
import { objectPath, objectsPath } from "./repo-paths.ts";
import type { RepoLinux } from "./temporary-name.ts";
import { nameMeta, writeMeta } from "./write-meta.ts";

/** What a repo without `meta.json` must be, told by its first object. */
export interface OldFormat {
  readonly meta: RepoMeta;
  readonly secure: boolean;
}

/**
 * Looks at a directory without `meta.json` as composefs-rs does: the length of the first object's name tells the
 * algorithm, its seal tells the mode; the layout of root images is 2, the only one there was. Undefined when there is no
 * object directory, so that it is no repo at all.
 *
 * @throws OsdeployError `not-found` when there is an object directory without any object: nothing tells what it is.
 */
export function detectOldFormat(files: LinuxFiles, path: Path): OldFormat | undefined {
  if (files.lstatIfExists(objectsPath(path)) === undefined) return undefined;
  const first = firstObject(files, path);
  if (first === undefined) {
    const state = "it has no meta.json and no objects; an init that stopped in the middle leaves this, run it again";
    throw new OsdeployError("not-found", `Cannot open repo "${toText(path)}": ${state}`);
  }
  return {
    meta: newRepoMeta(first.algorithm, 2),
    secure: files.measureVerity(objectPath(path, first.id), first.algorithm) !== undefined,
  };
}

/** Writes the `meta.json` that says what was found, so that it need not be guessed again. */
export function upgradeOldFormat(
  linux: RepoLinux,
  path: Path,
  options: { readonly fd: Fd; readonly found: OldFormat },
): void {
  const { fd, found } = options;
  // Under a shared lock two programs may do this at once: both find the same, and the later rename changes nothing.
  nameMeta(linux.files, path, {
    fd,
    temporary: writeMeta(linux, path, { fd, meta: found.meta, secure: found.secure }),
  });
}

function firstObject(files: LinuxFiles, path: Path): { id: ObjectId; algorithm: VerityAlgorithm } | undefined {
  for (const prefix of readDirectoryIfExists(files, objectsPath(path))) {
    if (!isHex(prefix, 1)) continue;
    for (const rest of readDirectoryIfExists(files, childPath(objectsPath(path), prefix))) {
      const id = `${prefix}${rest}` as ObjectId;
      if (isHex(id, 32)) return { id, algorithm: "sha256" };
      if (isHex(id, 64)) return { id, algorithm: "sha512" };
    }
  }
  return undefined;
}
