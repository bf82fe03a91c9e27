import { fromText } from "../core/bytes/byte-string.ts";
import type { Linux, Path } from "../linux/linux.ts";
import { openWorkDirectory, type WorkDirectory } from "../linux/work-directory.ts";

/** Makes a directory in `parent` for an image that is being written; those of runs that were killed go. */
export function openScratchDirectory(linux: Pick<Linux, "files" | "mounts" | "clock">, parent: Path): WorkDirectory {
  return openWorkDirectory(linux, parent, ".osdeploy-copy-");
}

/** The directory that `path` lies in; `.` for a name alone. */
export function parentOf(path: Path): Path {
  const trimmed = path.replace(/(?<=.)\/+$/, "");
  const slash = trimmed.lastIndexOf("/");
  if (slash < 0) return fromText(".");
  return (slash === 0 ? "/" : trimmed.slice(0, slash)) as Path;
}
