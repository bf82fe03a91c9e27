import type { Linux, Path } from "../linux/linux.ts";
import { openWorkDirectory, type WorkDirectory } from "../linux/work-directory.ts";

/** Makes a directory in `parent` for all that is not on the disk yet; those of installations that were killed go. */
export function openStagingDirectory(linux: Linux, parent: Path): WorkDirectory {
  return openWorkDirectory(linux, parent, ".osdeploy-install-");
}
