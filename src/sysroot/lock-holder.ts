import { fromBytes, fromText, toText } from "../core/bytes/byte-string.ts";
import { unlessFailing } from "../core/errors.ts";
import type { FileStat, LinuxFiles } from "../linux/linux.ts";

const limitBytes = 4 * 1024 * 1024;
const shownLength = 120;

/**
 * Who holds the exclusive flock on a file, as `osdeploy upgrade (process 123)`; undefined where the kernel does not tell, as
 * in a container. Without options: what they say may be a password, and errors get into the journal.
 */
export function lockHolder(files: LinuxFiles, { identity }: Pick<FileStat, "identity">): string | undefined {
  const inode = identity.slice(identity.indexOf(":") + 1);
  const lines = read(files, "/proc/locks").split("\n");
  const held = lines.map((line) => /^\d+: FLOCK +ADVISORY +WRITE (\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /.exec(line));
  const pid = held.find((match) => match?.[2] === inode)?.[1];
  if (pid === undefined) return undefined;
  const words = read(files, `/proc/${pid}/cmdline`)
    .split("\0")
    .filter((word) => word !== "");
  const own = words.findIndex((word) => /(^|\/)(osdeploy|main\.js)$/.test(word));
  const shown = own < 0 ? words : ["osdeploy", ...words.slice(own + 1)];
  const option = shown.findIndex((word) => word.startsWith("-"));
  const program = toText(fromText(shown.slice(0, option < 0 ? undefined : option).join(" "))).slice(0, shownLength);
  return program === "" ? `process ${pid}` : `${program} (process ${pid})`;
}

/** Empty where it cannot be read: the process may have ended meanwhile. */
function read(files: LinuxFiles, path: string): string {
  return unlessFailing(() => fromBytes(files.readFile(fromText(path), limitBytes))) ?? "";
}
