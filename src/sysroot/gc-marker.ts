import { fromText } from "../core/bytes/byte-string.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { removeDurably, writeDurably } from "./durable-file.ts";

/** What osdeploy-gc.service looks for before it starts a process. */
const directory: Path = fromText("/run/osdeploy");
const name = "gc-needed";

/** Says whether there is something for osdeploy-gc.service to take away in this boot. */
export function markGc(files: LinuxFiles, isNeeded: boolean): void {
  if (isNeeded) writeDurably(files, { root: fromText("/run"), directory: "osdeploy", name }, "");
  else removeDurably(files, directory, name);
}
