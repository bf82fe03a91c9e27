import { encodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import { indexLimit } from "../core/oci/image-index.ts";
import { documentLimitBytes, parseDocument } from "../core/oci/json.ts";
import { arrayOf, entriesOf, member, optional } from "../core/oci/json-place.ts";
import { ociIndexType } from "../core/oci/media-type.ts";
import type { ImageChoice } from "../core/oci/reference.ts";
import type { ImageToCommit } from "./image-destination.ts";

/** The file that says that a directory is an OCI image layout. */
export const layoutFile = '{"imageLayoutVersion":"1.0.0"}';

const refNameKey = "org.opencontainers.image.ref.name";

/**
 * The `index.json` of a layout with the image added to it, under `tag` if there is one. An entry of the same tag is
 * replaced, and one of the same manifest without a tag; all others stay as they are.
 *
 * @throws OsdeployError `bad-format` when the old one is none; `limit-exceeded` when nobody would read the new one.
 */
export function addToIndex(
  before: Uint8Array | undefined,
  image: ImageToCommit & { readonly annotations?: Readonly<Record<string, string>> },
  tag: string | undefined,
): Uint8Array {
  const { manifest, platform } = image;
  const { os, architecture, variant } = platform;
  const described = { architecture, os, ...(variant === undefined ? {} : { variant }) };
  const annotations = { ...image.annotations, ...(tag === undefined ? {} : { [refNameKey]: tag }) };
  const entry = {
    mediaType: manifest.mediaType,
    digest: manifest.digest,
    size: manifest.bytes.length,
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    ...(architecture === "" || os === "" ? {} : { platform: described }),
  };
  const kept = before === undefined ? { fields: {}, entries: [] } : readIndex(before, manifest.digest, tag);
  const manifests = [...kept.entries, entry];
  const bytes = encodeText(JSON.stringify({ schemaVersion: 2, mediaType: ociIndexType, ...kept.fields, manifests }));
  if (manifests.length <= indexLimit && bytes.length <= documentLimitBytes) return bytes;
  // Nobody would read any image of it.
  throw new OsdeployError(
    "limit-exceeded",
    `Cannot add the image to index.json: it would name more than ${indexLimit}, or be larger than ${documentLimitBytes} bytes`,
  );
}

function readIndex(
  bytes: Uint8Array,
  digest: string,
  tag: string | undefined,
): { readonly fields: Readonly<Record<string, unknown>>; readonly entries: readonly unknown[] } {
  const place = parseDocument(bytes, "index.json");
  const fields = Object.fromEntries(entriesOf(place).map(([key, { value }]) => [key, value]));
  const entries = arrayOf(member(place, "manifests"), indexLimit).filter((entry) => {
    const annotations = optional(entry, "annotations");
    const name = annotations === undefined ? undefined : optional(annotations, refNameKey)?.value;
    return tag === undefined ? name !== undefined || member(entry, "digest").value !== digest : name !== tag;
  });
  return { fields, entries: entries.map(({ value }) => value) };
}

/** The tag that a destination names. @throws OsdeployError `usage` for a choice among what is there. */
export function tagOfChoice(choice: ImageChoice, destination: string): string | undefined {
  if (choice.kind === "only") return undefined;
  if (choice.kind === "tag") return choice.tag;
  throw new OsdeployError("usage", `Cannot write to ${destination}: a new image gets a tag, not a place or a digest`);
}
