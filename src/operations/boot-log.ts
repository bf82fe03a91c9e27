import { decodeText, encodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import { parseDocument } from "../core/oci/json.ts";
import { optionalText } from "../core/oci/json-place.ts";
import type { LinuxPrograms } from "../linux/linux.ts";

const lines = 60;
/** So many are read: an orderly shutdown says hundreds of lines after what it is for. */
const readLines = 3000;
const limitCharacters = 12_000;

/**
 * The end of the log of the last boot of an entry, up to why it was ended where osdeploy ended it; empty where the journal has none: it is not persistent, or the machine
 * stopped before it could be written.
 */
export function bootLogTail(programs: LinuxPrograms, entryId: string): string {
  try {
    const boot = lastBootOf(programs, entryId);
    if (boot === undefined) return "";
    const { stdout } = programs.run([
      ...journalctl,
      "--output=short-monotonic",
      `--boot=${boot}`,
      `--lines=${readLines}`,
    ]);
    return untilReboot(decodeText(stdout).trimEnd().split("\n")).slice(-lines).join("\n").slice(-limitCharacters);
  } catch (error) {
    // A log is for people: nothing is left undone because there is none.
    if (error instanceof OsdeployError) return "";
    throw error;
  }
}

/** Lines as far as health-check or boot-deadline told that it reboots: what comes after is the shutdown. */
function untilReboot(all: readonly string[]): readonly string[] {
  const told = all.findLastIndex((line) => /osdeploy: .*\. Rebooting, because this boot of /.test(line));
  return told === -1 ? all : all.slice(0, told + 1);
}

const journalctl = ["journalctl", "--no-pager", "--quiet"] as const;

/** The kernel logs its command line, which names the entry. */
function lastBootOf(programs: LinuxPrograms, entryId: string): string | undefined {
  const { status, stdout } = programs.run([
    ...journalctl,
    "--output=json",
    "--output-fields=_BOOT_ID",
    "--reverse",
    "--lines=1",
    `--grep=osdeploy\\.entry=${entryId}(\\s|$)`,
    "_TRANSPORT=kernel",
  ]);
  const [line = ""] = decodeText(stdout).split("\n");
  if (status !== 0 || line === "") return undefined;
  const boot = optionalText(parseDocument(encodeText(line), "the journal"), "_BOOT_ID");
  return boot !== undefined && /^[0-9a-f]{32}$/.test(boot) ? boot : undefined;
}
