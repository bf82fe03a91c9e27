import { OsdeployError } from "../errors.ts";
import { type LineField, lineFields } from "./line-fields.ts";

/**
 * A Boot Loader Specification Type #1 entry: keys and values in the order of the file. A key may occur several times
 * (`initrd`, `options`).
 *
 * @see https://uapi-group.org/specifications/specs/boot_loader_specification/#type-1-boot-loader-specification-entries
 */
export interface BlsEntry {
  readonly fields: readonly LineField[];
}

/** Entries are a handful of lines; whoever writes more than this onto the boot partition means harm. */
export const blsEntryLimitBytes: number = 64 * 1024;

/**
 * Reads an entry. Comments and empty lines are passed over; unknown keys are kept, so that nothing is lost when the
 * entry is written again.
 *
 * @throws OsdeployError `bad-format` when it is larger than 64 KiB.
 */
export function parseBlsEntry(text: string): BlsEntry {
  if (text.length > blsEntryLimitBytes) {
    throw new OsdeployError("bad-format", `Cannot read the boot entry: it is larger than ${blsEntryLimitBytes} bytes`);
  }
  return { fields: lineFields(text) };
}

/**
 * The text of an entry, one line a field.
 *
 * @throws OsdeployError `bad-format` when a key or value would not survive being read again.
 */
export function formatBlsEntry(entry: BlsEntry): string {
  return entry.fields.map(formatField).join("");
}

function formatField({ key, value }: LineField): string {
  if (!/^[^\s#]\S*$/.test(key) || value !== value.trim() || /[\n\r\0]/.test(value) || value === "") {
    throw new OsdeployError(
      "bad-format",
      `Cannot write the boot entry: field ${JSON.stringify(key)} cannot hold ${JSON.stringify(value)}`,
    );
  }
  return `${key} ${value}\n`;
}

/** The value of the first field named `key`. */
export function blsField(entry: BlsEntry, key: string): string | undefined {
  return entry.fields.find((field) => field.key === key)?.value;
}

/** What the image of an entry calls its version; in the entry a number comes before it, for the loader to sort by. */
export function imageVersion(entry: BlsEntry): string | undefined {
  return blsField(entry, "version")?.replace(/^\d+(-|$)/, "") || undefined;
}

/** All `options` of an entry, joined as the loader joins them. */
export function blsOptions(entry: BlsEntry): string {
  return entry.fields
    .filter((field) => field.key === "options")
    .map((field) => field.value)
    .join(" ");
}
