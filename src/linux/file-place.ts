import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import { kindNames } from "../core/tree/kind-names.ts";
import type { LinuxFiles, Path } from "./linux.ts";

/**
 * Where a new file has to be put to be found at `path`: a symlink stays, and what it leads to is replaced. `what` is to be
 * written, for the error.
 *
 * @throws OsdeployError `already-exists` when there is something that is no file, as a directory or the pipe behind /dev/stdout.
 */
export function filePlace(files: LinuxFiles, path: Path, what: string): Path {
  const place = files.lstatIfExists(path)?.kind === "symlink" ? (realPathIfExists(files, path) ?? path) : path;
  // The kernel has names for pipes and sockets that lead nowhere.
  const kind = files.lstatIfExists(place)?.kind ?? (place === path ? "regular" : undefined);
  // A symlink here leads to nothing.
  if (kind === "regular" || kind === "symlink") return place;
  const state = kind === undefined ? "it leads to no file" : `there is a ${kindNames[kind]}`;
  throw new OsdeployError("already-exists", `Cannot write ${what} to "${toText(path)}": ${state}`);
}

function realPathIfExists(files: LinuxFiles, path: Path): Path | undefined {
  try {
    return files.realPath(path);
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "not-found") return undefined;
    throw error;
  }
}
