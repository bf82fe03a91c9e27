import { type ManifestDigest, parseManifestDigest } from "../digest/oci-digest.ts";
import { assert, OsdeployError } from "../errors.ts";
import { type Descriptor, parseAnnotations, parseDescriptor } from "./descriptor.ts";
import { arrayOf, type JsonPlace, member, optional, optionalText } from "./json-place.ts";
import { type Platform, parsePlatformFields } from "./platform.ts";

/** More than the largest lists in the field by far. */
export const indexLimit = 1000;

/** One line of an index: a manifest or a further index. */
export interface IndexEntry extends Descriptor<ManifestDigest> {
  readonly platform: Platform | undefined;
  /** Set on what is attached to images: signatures, SBOMs and the like. */
  readonly artifactType: string | undefined;
}

/** An OCI index, a Docker manifest list, or the `index.json` of a layout. */
export interface ImageIndex {
  readonly entries: readonly IndexEntry[];
  readonly annotations: ReadonlyMap<string, string>;
}

/**
 * Reads an index whose type {@link checkDocumentType} has found out.
 *
 * @throws OsdeployError `bad-format`, or `limit-exceeded` for more than 1000 entries.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md
 */
export function parseIndex(place: JsonPlace): ImageIndex {
  return {
    entries: arrayOf(member(place, "manifests"), indexLimit).map(parseEntry),
    annotations: parseAnnotations(place),
  };
}

/** What an index offers to choose from. */
export interface OfferedImages {
  readonly entries: readonly IndexEntry[];
  /** Entries that cannot be used, and why; those for other machines need not be understood here. */
  readonly unusable: readonly { readonly platform: Platform | undefined; readonly reason: OsdeployError }[];
}

/**
 * Reads an index from which one image is to be chosen: what is wrong with the others is nobody's concern.
 *
 * @throws OsdeployError `bad-format`, or `limit-exceeded` for more than 1000 entries.
 */
export function parseOfferedImages(place: JsonPlace): OfferedImages {
  const entries: IndexEntry[] = [];
  const unusable: OfferedImages["unusable"][number][] = [];
  for (const each of arrayOf(member(place, "manifests"), indexLimit)) {
    const entry = unlessBad(() => parseEntry(each));
    if (!(entry instanceof OsdeployError)) entries.push(entry);
    else unusable.push({ platform: platformOf(each), reason: entry });
  }
  return { entries, unusable };
}

/** Undefined also where it cannot be read. */
function platformOf(place: JsonPlace): Platform | undefined {
  const platform = unlessBad(() => parsePlatformFields(member(place, "platform")));
  return platform instanceof OsdeployError ? undefined : platform;
}

/** What `parse` gives, or what it throws. */
function unlessBad<T>(parse: () => T): T | OsdeployError {
  try {
    return parse();
  } catch (error) {
    assert(error instanceof OsdeployError, "documents are read with errors for people only");
    return error;
  }
}

function parseEntry(place: JsonPlace): IndexEntry {
  const platform = optional(place, "platform");
  return {
    ...parseDescriptor(place, parseManifestDigest),
    platform: platform === undefined ? undefined : unlessSilent(parsePlatformFields(platform)),
    artifactType: optionalText(place, "artifactType"),
  };
}

/** Go programs write empty texts for what they do not know. */
function unlessSilent(platform: Platform): Platform | undefined {
  return platform.os === "" && platform.architecture === "" ? undefined : platform;
}
