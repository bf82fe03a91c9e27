import type { ConfigDigest, LayerDigest } from "../digest/oci-digest.ts";
import { OsdeployError, unless } from "../errors.ts";
import type { Descriptor } from "./descriptor.ts";
import { parseDocument } from "./json.ts";
import { arrayOf, type JsonPlace, member, optional, textOf } from "./json-place.ts";
import { ociManifestType } from "./media-type.ts";
import type { ArchiveChoice } from "./reference.ts";
import { formatRegistryName, parseRegistryName } from "./registry-name.ts";

/** `docker save` of a whole machine holds some hundred images. */
const imageLimit = 1000;
const layerLimit = 1000;
const listLimit = 20;

/** An image in a docker-archive: paths in the archive, not yet checked. */
export interface ArchivedImage {
  readonly configPath: string;
  /** Full names with tags, of those that are names. */
  readonly names: readonly string[];
  /** Lowest first. */
  readonly layerPaths: readonly string[];
}

/**
 * Reads the `manifest.json` of a docker-archive.
 *
 * @throws OsdeployError `bad-format` or `limit-exceeded`.
 * @see https://github.com/moby/docker-image-spec/blob/main/spec.md (combined image JSON + filesystem changeset format)
 */
export function parseArchiveManifest(bytes: Uint8Array, document: string): readonly ArchivedImage[] {
  return arrayOf(parseDocument(bytes, document), imageLimit).map((place) => ({
    configPath: textOf(member(place, "Config")),
    names: namesOf(place),
    layerPaths: arrayOf(member(place, "Layers"), layerLimit).map(textOf),
  }));
}

/** What is no name is left out: nobody can ask for it, and it says nothing against the image, or against others beside it. */
function namesOf(place: JsonPlace): readonly string[] {
  const tags = optional(place, "RepoTags");
  return tags === undefined ? [] : arrayOf(tags, imageLimit).flatMap((tag) => fullName(textOf(tag)) ?? []);
}

function fullName(text: string): string | undefined {
  return unless("usage", () => formatRegistryName(parseRegistryName(text)));
}

/**
 * The image that `choice` means.
 *
 * @throws OsdeployError `not-found`, or `usage` when there are several and nothing says which.
 */
export function chooseInArchive(
  images: readonly ArchivedImage[],
  choice: ArchiveChoice,
  archive: string,
): ArchivedImage {
  const [image, another] = images.filter((each, position) => isMeant(each, position, choice));
  const names = images.flatMap((each) => each.names).slice(0, listLimit);
  const there = names.length === 0 ? "" : `; it holds ${names.join(", ")}`;
  if (image === undefined) throw new OsdeployError("not-found", `Cannot find the image in ${archive}${there}`);
  if (another === undefined) return image;
  throw new OsdeployError("usage", `Cannot choose an image in ${archive}: write a name or :@POSITION after it${there}`);
}

function isMeant(image: ArchivedImage, position: number, choice: ArchiveChoice): boolean {
  switch (choice.kind) {
    case "only":
      return true;
    case "tag":
      return image.names.includes(choice.tag);
    case "position":
      return position === choice.position;
  }
}

/** The manifest that an image without one would have: OCI, compact, members in the order of the specification. */
export function writeManifest(config: Descriptor<ConfigDigest>, layers: readonly Descriptor<LayerDigest>[]): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: ociManifestType,
    config: descriptorFields(config),
    layers: layers.map(descriptorFields),
  });
}

function descriptorFields(descriptor: Descriptor): object {
  return { mediaType: descriptor.mediaType, digest: descriptor.digest, size: descriptor.sizeBytes };
}
