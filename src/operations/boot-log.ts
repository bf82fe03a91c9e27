import { OsdeployError } from "../core/errors.ts";
import { parseDocument } from "../core/oci/json.ts";
import { optionalText } from "../core/oci/json-place.ts";
import type { LinuxPrograms } from "../linux/linux.ts";

const lines = 60;
const limitCharacters = 12_000;

/**
 * The end of the log of the last boot of an entry; empty where the journal has none: it is not persistent, or the machine
 * stopped before it could be written.
 */
export function bootLogTail(programs: LinuxPrograms, entryId: string): string {
  try {
    const boot = lastBootOf(programs, entryId);
    if (boot === undefined) return "";
    const { stdout } = programs.run([...journalctl, "--output=short-monotonic", `--boot=${boot}`, `--lines=${lines}`]);
    return new TextDecoder().decode(stdout).trimEnd().slice(-limitCharacters);
  } catch (error) {
    // A log is for people: nothing is left undone because there is none.
    if (error instanceof OsdeployError) return "";
    throw error;
  }
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
  const [line = ""] = new TextDecoder().decode(stdout).split("\n");
  if (status !== 0 || line === "") return undefined;
  const boot = optionalText(parseDocument(new TextEncoder().encode(line), "the journal"), "_BOOT_ID");
  return boot !== undefined && /^[0-9a-f]{32}$/.test(boot) ? boot : undefined;
}
