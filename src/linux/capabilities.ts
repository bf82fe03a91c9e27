import { fromBytes, fromText, toText } from "../core/bytes/byte-string.ts";
import { unless } from "../core/errors.ts";
import type { LinuxFiles } from "./linux.ts";

const limitBytes = 1024 * 1024;
const status = fromText("/proc/self/status");

/** Whether this process may give files to other users (CAP_CHOWN), as root may; taken to be so where the kernel does not tell. */
export function mayGiveFilesAway(files: LinuxFiles): boolean {
  const bytes = unless("not-found", () => files.readFile(status, limitBytes));
  if (bytes === undefined) return true;
  // CAP_CHOWN is the first, and so the last bit of the last digit.
  return !/^CapEff:\t[0-9a-f]*[02468ace]$/m.test(toText(fromBytes(bytes)));
}
