import { fromText } from "../core/bytes/byte-string.ts";
import type { Linux, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";

/** What only we call so: whoever finds one of these may remove it when nothing of ours runs. */
const prefix = ".osdeploy-";

/** Makes a directory in `parent` that nobody else uses. */
export function makeScratchDirectory({ files, clock }: Pick<Linux, "files" | "clock">, parent: Path): Path {
  const path = childPath(parent, fromText(`${prefix}${clock.randomName()}`));
  files.makeDirectory(path, 0o700);
  return path;
}

/** The directory that `path` lies in; `.` for a name alone. */
export function parentOf(path: Path): Path {
  const trimmed = path.replace(/(?<=.)\/+$/, "");
  const slash = trimmed.lastIndexOf("/");
  if (slash < 0) return fromText(".");
  return (slash === 0 ? "/" : trimmed.slice(0, slash)) as Path;
}
