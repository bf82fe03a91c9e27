import { type ManifestDigest, parseManifestDigest } from "../core/digest/oci-digest.ts";
import { type ErrorCode, OsdeployError } from "../core/errors.ts";
import { type Descriptor, parseDescriptor } from "../core/oci/descriptor.ts";
import { parseDocument } from "../core/oci/json.ts";
import { arrayOf, type JsonPlace, optional, optionalText } from "../core/oci/json-place.ts";
import type { ResolvedDocument, ResolvedRegistry } from "./image-source.ts";

/** Something that refers to an image, as an index lists it. */
export interface Referrer extends Descriptor<ManifestDigest> {
  /** What its descriptor says it is; undefined where it says nothing. */
  readonly artifactType: string | undefined;
}

/** cosign 3 writes the type of the config there when a registry has no API for referrers: it says nothing. */
const emptyConfigType = "application/vnd.oci.empty.v1+json";

/** More than this, on all pages, is no list that anybody keeps. */
const listLimit = 1000;

/**
 * What refers to the manifest `digest`. Registries without the API for referrers keep the same index under a tag.
 *
 * @throws OsdeployError as an `ImageSource` does, `bad-format`, `limit-exceeded`: that there is nothing is no failure, not
 * to know is one.
 */
export async function listReferrers(registry: ResolvedRegistry, digest: ManifestDigest): Promise<readonly Referrer[]> {
  const pages = (await registry.readReferrers(digest)) ?? (await pagesUnderTag(registry, digest));
  const referrers: Referrer[] = [];
  for (const page of pages) {
    const listed = optional(parseDocument(page, `the index of what refers to ${digest}`), "manifests");
    referrers.push(...(listed === undefined ? [] : arrayOf(listed, listLimit).map(parseReferrer)));
    if (referrers.length > listLimit) throw tooMany(digest, referrers.length);
  }
  return referrers;
}

async function pagesUnderTag(registry: ResolvedRegistry, digest: ManifestDigest): Promise<readonly Uint8Array[]> {
  const index = await registry.readManifest(referrersTag(digest));
  return index === undefined ? [] : [index.bytes];
}

function parseReferrer(place: JsonPlace): Referrer {
  return { ...parseDescriptor(place, parseManifestDigest), artifactType: optionalText(place, "artifactType") };
}

/** The tag under which registries without the API keep what refers to `digest`. */
export function referrersTag(digest: ManifestDigest): string {
  return digest.replace(":", "-");
}

/** Artifacts of one kind about one image. */
const artifactLimit = 16;

/** Of all that refers to an image, so many are asked what they are: as many as it may have signatures. */
const candidateLimit = 128;

/**
 * What of `artifactType` refers to an image. Descriptors of old tools do not tell the type, so those documents are asked
 * themselves; what else stands in the list, and whether it can be read, is no business of ours. A registry that gives no
 * list to us has none for us: nobody who wants to hide one would refuse where "there is none" does as well.
 *
 * @throws OsdeployError `network` and what else says that the next time may be another; `bad-format` for an artifact that
 * the list calls one of this type and that cannot be read; `limit-exceeded`.
 */
export async function findArtifacts(
  registry: ResolvedRegistry,
  digest: ManifestDigest,
  artifactType: string,
): Promise<readonly ResolvedDocument<ManifestDigest>[]> {
  const listed = await listReferrersIfTold(registry, digest);
  const wanted = listed.filter((each) => [undefined, emptyConfigType, artifactType].includes(each.artifactType));
  const called = new Set(wanted.flatMap((each) => (each.artifactType === artifactType ? [each.digest] : [])));
  const candidates = new Set(wanted.map((each) => each.digest));
  if (candidates.size > candidateLimit) throw tooMany(digest, candidates.size);
  const found: ResolvedDocument<ManifestDigest>[] = [];
  for (const each of candidates) {
    const artifact = await readArtifact(registry, each, { digest, artifactType, isCalledSo: called.has(each) });
    if (artifact !== undefined) found.push(artifact);
    if (found.length > artifactLimit) throw tooMany(digest, found.length);
  }
  return found;
}

function tooMany(digest: ManifestDigest, count: number): OsdeployError {
  return new OsdeployError("limit-exceeded", `Cannot read what refers to ${digest}: there are ${count} of it`);
}

/** Undefined for what is gone, of another type or about another image; and for what is unreadable, unless it is called so. */
async function readArtifact(
  registry: ResolvedRegistry,
  name: ManifestDigest,
  wanted: { readonly digest: ManifestDigest; readonly artifactType: string; readonly isCalledSo: boolean },
): Promise<ResolvedDocument<ManifestDigest> | undefined> {
  try {
    const manifest = await registry.readManifest(name);
    if (manifest === undefined) return undefined;
    const place = parseDocument(manifest.bytes, `manifest ${name}`);
    const isOfType = optionalText(place, "artifactType") === wanted.artifactType;
    return isOfType && isAbout(place, wanted.digest) ? manifest : undefined;
  } catch (error) {
    const isUnreadable = error instanceof OsdeployError && unreadable.has(error.code);
    if (isUnreadable && !wanted.isCalledSo) return undefined;
    throw error;
  }
}

const unreadable: ReadonlySet<ErrorCode> = new Set(["bad-format", "unsupported", "limit-exceeded"]);

/** Whether a manifest says that it refers to `subject`: lists are the registry's to write, and may name any other. */
export function isAbout(manifest: JsonPlace, subject: ManifestDigest): boolean {
  const about = optional(manifest, "subject");
  return about !== undefined && optionalText(about, "digest") === subject;
}

/** The same as {@link listReferrers} where a registry that refuses the question counts as one that lists nothing. */
export async function listReferrersIfTold(
  registry: ResolvedRegistry,
  digest: ManifestDigest,
): Promise<readonly Referrer[]> {
  try {
    return await listReferrers(registry, digest);
  } catch (error) {
    if (isRefusedList(error)) return [];
    throw error;
  }
}

/** Whether a list failed because the registry has none for us, and the next time will not be another. */
export function isRefusedList(error: unknown): error is OsdeployError {
  return error instanceof OsdeployError && (refusals.has(error.code) || isRefusal(error));
}

/** Pages for people, and lists behind a login. */
const refusals: ReadonlySet<ErrorCode> = new Set(["unauthorized", "bad-format", "unsupported", "limit-exceeded"]);

/** Too slow, and too often: the next time may be another. */
const passing: ReadonlySet<number> = new Set([408, 425, 429]);

/** Of the server's own failures the one that stays. */
const notImplemented = 501;

/** Registries that do not know the address answer with all sorts of statuses, of those that do not pass. */
function isRefusal({ facts }: OsdeployError): boolean {
  const { status } = facts;
  if (typeof status !== "number" || passing.has(status)) return false;
  return (status >= 400 && status < 500) || status === notImplemented;
}
