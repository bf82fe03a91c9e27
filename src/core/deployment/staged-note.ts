import type { BootMenu } from "../boot/boot-menu.ts";
import { type ManifestDigest, parseManifestDigest } from "../digest/oci-digest.ts";
import { parseDocument } from "../oci/json.ts";
import { digestOf, member, optional, safeSizeOf, textOf } from "../oci/json-place.ts";

/** What was staged, as it is remembered over a reboot: only to be told, never to be committed. */
export interface StagedNote {
  readonly imageReference: string;
  readonly manifestDigest: ManifestDigest;
  /** The number of the next boot entry when it was staged: an entry with this number or a higher one settles it. */
  readonly sequence: number;
  /** Whether it was only downloaded. */
  readonly finalizationLocked: boolean;
}

/**
 * The text of the note `staged`, in `state/osdeploy`.
 *
 * @see docs/reference/formats/deployment-state.md
 */
export function formatStagedNote(note: StagedNote): string {
  return `${JSON.stringify({ version: 1, ...note }, undefined, 2)}\n`;
}

/**
 * Of a newer version it takes what it knows: it is only told.
 *
 * @throws OsdeployError `bad-format` when it is not what {@link formatStagedNote} writes.
 */
export function parseStagedNote(bytes: Uint8Array): StagedNote {
  const whole = parseDocument(bytes, "the note of what was staged");
  return {
    imageReference: textOf(member(whole, "imageReference")),
    manifestDigest: digestOf(member(whole, "manifestDigest"), parseManifestDigest),
    sequence: safeSizeOf(member(whole, "sequence")),
    finalizationLocked: optional(whole, "finalizationLocked")?.value === true,
  };
}

/** Whether an entry was added since: it was committed, or something else took its place. */
export function isSettled({ sequence }: StagedNote, { entries }: Pick<BootMenu, "entries">): boolean {
  return entries.some((entry) => entry.sequence >= sequence);
}
