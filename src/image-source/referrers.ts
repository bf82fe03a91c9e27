import { type ManifestDigest, parseManifestDigest } from "../core/digest/oci-digest.ts";
import { type ErrorCode, OsdeployError } from "../core/errors.ts";
import { type Descriptor, parseDescriptor } from "../core/oci/descriptor.ts";
import { parseDocument } from "../core/oci/json.ts";
import { arrayOf, optional, optionalText } from "../core/oci/json-place.ts";
import type { ResolvedDocument, ResolvedRegistry } from "./image-source.ts";

/** Something that refers to an image, as an index lists it. */
export interface Referrer extends Descriptor<ManifestDigest> {
  /** What its descriptor says it is; undefined where it says nothing. */
  readonly artifactType: string | undefined;
}

/** cosign 3 writes the type of the config there when a registry has no API for referrers: it says nothing. */
const emptyConfigType = "application/vnd.oci.empty.v1+json";

/** More than this in one index is no list that anybody keeps. */
const listLimit = 1000;

/**
 * What refers to the manifest `digest`. Registries without the API for referrers keep the same index under a tag.
 *
 * @throws OsdeployError as an `ImageSource` does, `bad-format`, `limit-exceeded`: that there is nothing is no failure, not
 * to know is one.
 */
export async function listReferrers(registry: ResolvedRegistry, digest: ManifestDigest): Promise<readonly Referrer[]> {
  const index = (await registry.readReferrers(digest)) ?? (await registry.readManifest(referrersTag(digest)))?.bytes;
  if (index === undefined) return [];
  const listed = optional(parseDocument(index, `the index of what refers to ${digest}`), "manifests");
  return (listed === undefined ? [] : arrayOf(listed, listLimit)).map((place) => ({
    ...parseDescriptor(place, parseManifestDigest),
    artifactType: optionalText(place, "artifactType"),
  }));
}

/** The tag under which registries without the API keep what refers to `digest`. */
export function referrersTag(digest: ManifestDigest): string {
  return digest.replace(":", "-");
}

/** Artifacts of one kind beside one image. */
const artifactLimit = 16;

/**
 * What is of `artifactType` among what refers to an image, or may be: descriptors of old tools do not tell. A registry
 * that gives no list to us has none for us: nobody who wants to hide one would refuse where "there is none" does as well.
 *
 * @throws OsdeployError `network` and what else says that the next time may be another; `limit-exceeded`.
 */
export async function findArtifacts(
  registry: ResolvedRegistry,
  digest: ManifestDigest,
  artifactType: string,
): Promise<readonly ResolvedDocument<ManifestDigest>[]> {
  const listed = await listReferrersIfTold(registry, digest);
  const wanted = listed.filter((each) => [undefined, emptyConfigType, artifactType].includes(each.artifactType));
  if (wanted.length > artifactLimit) {
    throw new OsdeployError("limit-exceeded", `Cannot read what refers to ${digest}: there are ${wanted.length} of it`);
  }
  const found: ResolvedDocument<ManifestDigest>[] = [];
  for (const each of wanted) {
    const manifest = await registry.readManifest(each.digest);
    if (manifest !== undefined) found.push(manifest);
  }
  return found;
}

/** The same where a registry that refuses the question counts as one that lists nothing. */
export async function listReferrersIfTold(
  registry: ResolvedRegistry,
  digest: ManifestDigest,
): Promise<readonly Referrer[]> {
  try {
    return await listReferrers(registry, digest);
  } catch (error) {
    if (error instanceof OsdeployError && (refusals.has(error.code) || isRefusal(error))) return [];
    throw error;
  }
}

/** Pages for people, and lists behind a login. */
const refusals: ReadonlySet<ErrorCode> = new Set(["unauthorized", "bad-format", "unsupported", "limit-exceeded"]);

/** Too slow, and too often: the next time may be another. */
const passing: ReadonlySet<number> = new Set([408, 425, 429]);

/** Registries that do not know the address answer with all sorts of statuses, of those that do not pass. */
function isRefusal({ facts }: OsdeployError): boolean {
  const { status } = facts;
  return typeof status === "number" && status >= 400 && status < 500 && !passing.has(status);
}
