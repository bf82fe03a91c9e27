import type { ManifestDigest } from "../../core/digest/oci-digest.ts";
import type { StatusResult } from "../../operations/status.ts";
import { printable } from "./plain-text.ts";
import { formatFields } from "./table.ts";

type QuarantineRecord = StatusResult["quarantine"][number];

/** The images in quarantine; with `verbose` the ends of their boot logs. */
export function quarantineText(records: readonly QuarantineRecord[], detail: { readonly verbose?: true }): string {
  if (records.length === 0) return "No image is in quarantine\n";
  return records.map((record) => recordText(record, detail)).join("\n");
}

function recordText(record: QuarantineRecord, { verbose }: { readonly verbose?: true }): string {
  const { manifestDigest, reason, imageReference, bootEntry, since, bootLog } = record;
  const fields = formatFields([
    ["Reason", printable(reason)],
    ["Image", imageReference && printable(imageReference)],
    ["Boot entry", bootEntry && printable(bootEntry)],
    ["Since", since === "" ? undefined : printable(since)],
    ["Boot log", logWords(bootLog, verbose)],
  ]);
  const log = verbose ? bootLog.split("\n").filter((line) => line !== "") : [];
  const lines = log.map((line) => `    ${printable(line)}\n`).join("");
  return `${manifestDigest}\n${fields.replace(/^/gm, "  ").trimEnd()}\n${lines}`;
}

function logWords(bootLog: string, verbose: true | undefined): string | undefined {
  if (bootLog === "") return undefined;
  return verbose ? "its end:" : "kept; see it with --verbose";
}

/** What `quarantine remove` did. */
export function leftQuarantineText({ manifestDigest }: { readonly manifestDigest: ManifestDigest }): string {
  return `${manifestDigest} is free: the next upgrade may bring it\n`;
}
