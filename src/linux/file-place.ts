import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError, unless } from "../core/errors.ts";
import { kindNames } from "../core/tree/kind-names.ts";
import type { LinuxFiles, Path } from "./linux.ts";

/**
 * Where a new file has to be put to be found at `path`: a symlink stays, and what it leads to is replaced. `what` is to be
 * written, for the error.
 *
 * @throws OsdeployError `already-exists` when there is something that is no file, as a directory or the pipe behind /dev/stdout.
 */
export function filePlace(files: LinuxFiles, path: Path, what: string): Path {
  const isLink = files.lstatIfExists(path)?.kind === "symlink";
  const end = isLink ? realPathIfExists(files, path) : path;
  // A symlink that leads to nothing is replaced itself.
  if (end === undefined) return path;
  const kind = files.lstatIfExists(end)?.kind;
  if (kind === "regular" || (kind === undefined && !isLink)) return end;
  // The kernel has names for pipes and sockets that lead nowhere.
  const state = kind === undefined ? "it leads to no file" : `there is a ${kindNames[kind]}`;
  throw new OsdeployError("already-exists", `Cannot write ${what} to "${toText(path)}": ${state}`);
}

function realPathIfExists(files: LinuxFiles, path: Path): Path | undefined {
  return unless("not-found", () => files.realPath(path));
}
