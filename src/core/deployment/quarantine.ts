import { type ManifestDigest, parseManifestDigest, splitDigest } from "../digest/oci-digest.ts";
import { parseDocument } from "../oci/json.ts";
import { digestOf, member, optionalText, textOf } from "../oci/json-place.ts";

/** Why an image is in quarantine: its boots failed, or the administrator went back from it. */
export type QuarantineCause = "boot-failed" | "rolled-back";

/**
 * An image that must not come back by itself. It is known by its manifest's digest: when the tag moves on to another image,
 * that one is free.
 */
export interface QuarantineRecord {
  readonly manifestDigest: ManifestDigest;
  readonly cause: QuarantineCause;
  /** A sentence for people, without period. */
  readonly reason: string;
  readonly imageReference: string | undefined;
  /** The boot entry that failed, without its counters. */
  readonly bootEntry: string | undefined;
  /** When it was put there, as ISO 8601; only shown, never compared. */
  readonly since: string;
  /** The end of the log of the boot that failed; empty where none was kept. */
  readonly bootLog: string;
}

/** The file of a record, in `state/osdeploy/quarantine`. */
export function quarantineFileName(digest: ManifestDigest): string {
  return `${splitDigest(digest).hex}.json`;
}

/** @see docs/reference/formats/deployment-state.md */
export function formatQuarantine(record: QuarantineRecord): string {
  return `${JSON.stringify({ version: 1, ...record }, undefined, 2)}\n`;
}

/**
 * Of a newer version it takes what it knows: whatever a record says, its image stays out. A cause that it does not know is
 * read as `boot-failed`.
 *
 * @throws OsdeployError `bad-format` when it is not what {@link formatQuarantine} writes.
 */
export function parseQuarantine(bytes: Uint8Array, fileName: string): QuarantineRecord {
  const whole = parseDocument(bytes, `quarantine record ${fileName}`);
  return {
    manifestDigest: digestOf(member(whole, "manifestDigest"), parseManifestDigest),
    cause: textOf(member(whole, "cause")) === "rolled-back" ? "rolled-back" : "boot-failed",
    reason: textOf(member(whole, "reason")),
    imageReference: optionalText(whole, "imageReference"),
    bootEntry: optionalText(whole, "bootEntry"),
    since: textOf(member(whole, "since")),
    bootLog: optionalText(whole, "bootLog") ?? "",
  };
}
