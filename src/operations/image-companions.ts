import { encodeText } from "../core/bytes/utf8.ts";
import { sha256Of } from "../core/digest/blob-hasher.ts";
import { type ManifestDigest, parseLayerDigest, parseManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { type Descriptor, parseDescriptor } from "../core/oci/descriptor.ts";
import { parseDocument } from "../core/oci/json.ts";
import { arrayOf, entriesOf, type JsonPlace, member, optional } from "../core/oci/json-place.ts";
import { ociIndexType } from "../core/oci/media-type.ts";
import type { ImageDestination, WritableRegistry } from "../image-source/image-destination.ts";
import type { ImageSource, ResolvedDocument, ResolvedRegistry } from "../image-source/image-source.ts";
import { isAbout, isRefusedList, listReferrers, type Referrer, referrersTag } from "../image-source/referrers.ts";

/** What a registry keeps beside an image: signatures, attestations, and what else is about exactly this manifest. */
export interface Companion {
  readonly manifest: ResolvedDocument<ManifestDigest>;
  /** Its config and layers. */
  readonly blobs: readonly Descriptor[];
  /** Under a tag made of the image's digest, as cosign 2 keeps them, or by referring to it. */
  readonly place:
    | { readonly kind: "tag"; readonly tag: string }
    | { readonly kind: "referrer"; readonly subject: ManifestDigest; readonly listed: Referrer };
}

/** Signatures, attestations and bills of materials, as cosign 2 tags them; skopeo and podman know the first. */
const tagEndings = [".sig", ".att", ".sbom"];

/** Of one image; nobody keeps more, and nobody reads more signatures. */
const companionLimit = 128;
/** Of their manifests together, which are all held until they are written. */
const manifestsLimitBytes = 64 * 1024 * 1024;
/** Of their blobs together: the largest are bills of materials. */
const blobsLimitBytes = 1024 * 1024 * 1024;
/** What refers to what refers to the image: the signature of an attestation is about that. */
const depthLimit = 3;

/** What was found beside an image. */
export interface FoundCompanions {
  readonly companions: readonly Companion[];
  /** Why the registry did not tell all that refers to the image; undefined where it did. */
  readonly untold: OsdeployError | undefined;
}

/**
 * What the registry that an image comes from keeps beside its manifest. With `mustTell`, a registry that refuses to list
 * what refers to the image is an error.
 *
 * @throws OsdeployError as an `ImageSource` does; `limit-exceeded`.
 */
export async function findCompanions(
  registry: ResolvedRegistry,
  digest: ManifestDigest,
  { mustTell }: { readonly mustTell: boolean },
): Promise<FoundCompanions> {
  const budget = new Budget(registry, digest);
  const found: Companion[] = [];
  for (const ending of tagEndings) {
    const tag = `${referrersTag(digest)}${ending}`;
    const read = await budget.read(tag, 0);
    if (read !== undefined) found.push({ ...read, place: { kind: "tag", tag } });
  }
  const seen = new Set([digest]);
  let untold: OsdeployError | undefined;
  let subjects: readonly ManifestDigest[] = [digest];
  for (let depth = 0; depth < depthLimit; depth++) {
    const reached: ManifestDigest[] = [];
    for (const subject of subjects) {
      const { list, refusal } = await listOf(registry, subject, mustTell);
      untold ??= refusal;
      for (const listed of list) {
        if (seen.has(listed.digest)) continue;
        seen.add(listed.digest);
        const read = await budget.read(listed.digest, listed.sizeBytes);
        // The registry writes its lists, and may name there what is about any other image.
        if (read === undefined || !isAbout(read.document, subject)) continue;
        found.push({ ...read, place: { kind: "referrer", subject, listed } });
        reached.push(listed.digest);
      }
    }
    subjects = reached;
  }
  return { companions: found, untold };
}

async function listOf(
  registry: ResolvedRegistry,
  subject: ManifestDigest,
  mustTell: boolean,
): Promise<{ readonly list: readonly Referrer[]; readonly refusal?: OsdeployError }> {
  try {
    return { list: await listReferrers(registry, subject) };
  } catch (error) {
    if (mustTell || !isRefusedList(error)) throw error;
    return { list: [], refusal: error };
  }
}

/** Counts what a registry makes us hold and send. It chooses all of the sizes. */
class Budget {
  readonly #registry: ResolvedRegistry;
  readonly #image: ManifestDigest;
  #count = 0;
  #manifestBytes = 0;
  #blobBytes = 0;

  constructor(registry: ResolvedRegistry, image: ManifestDigest) {
    this.#registry = registry;
    this.#image = image;
  }

  /** One more manifest, and its blobs; undefined where there is none, or it is not known what would belong to it. */
  async read(
    name: string,
    toldBytes: number,
  ): Promise<(Pick<Companion, "manifest" | "blobs"> & { readonly document: JsonPlace }) | undefined> {
    this.#count++;
    this.#charge(toldBytes, 0);
    const manifest = await this.#registry.readManifest(name);
    if (manifest === undefined) return undefined;
    const document = parseDocument(manifest.bytes, `manifest ${manifest.digest}`);
    const blobs = blobsOf(document);
    const blobBytes = (blobs ?? []).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.#charge(Math.max(manifest.bytes.length - toldBytes, 0), blobBytes);
    return blobs && { manifest, blobs, document };
  }

  #charge(manifestBytes: number, blobBytes: number): void {
    this.#manifestBytes += manifestBytes;
    this.#blobBytes += blobBytes;
    const isCountGood = this.#count <= companionLimit + tagEndings.length;
    if (isCountGood && this.#manifestBytes <= manifestsLimitBytes && this.#blobBytes <= blobsLimitBytes) return;
    throw new OsdeployError(
      "limit-exceeded",
      `Cannot copy what belongs to ${this.#image}: it is more than ${companionLimit}, or too large`,
    );
  }
}

/** The config and the layers of a manifest, whatever it is; undefined for what has no such members. */
export function blobsOf(manifest: JsonPlace): readonly Descriptor[] | undefined {
  const [config, layers] = [optional(manifest, "config"), optional(manifest, "layers")];
  if (config === undefined || layers === undefined) return undefined;
  return [config, ...arrayOf(layers, companionLimit)].map((each) => parseDescriptor(each, parseLayerDigest));
}

/** Whether what was found are signatures, not only statements about the image. */
export function isSignature({ place, blobs }: Companion): boolean {
  if (place.kind === "tag") return place.tag.endsWith(".sig");
  return blobs.some(({ mediaType }) => mediaType.startsWith("application/vnd.dev.sigstore.bundle"));
}

/**
 * Writes them beside an image of the same manifest. What is there already stays, and is added to.
 *
 * @throws OsdeployError `limit-exceeded` where there would be more signatures under one tag than anybody reads: all of them
 * would be lost. What is there stays as it is.
 */
export async function copyCompanions(
  companions: readonly Companion[],
  source: ImageSource,
  { destination, to }: { readonly destination: ImageDestination; readonly to: WritableRegistry },
): Promise<void> {
  // Before anything is sent. It is made again below, as sending takes time and others may sign meanwhile.
  for (const each of companions) await toPutOf(to, each);
  for (const companion of companions) {
    for (const blob of companion.blobs) {
      if (!(await destination.hasBlob(blob))) await destination.putBlob(blob, () => source.openBlob(blob));
    }
    const { manifest, place } = companion;
    if (place.kind === "tag") {
      const toPut = await toPutOf(to, companion);
      if (toPut !== undefined) await to.putManifest(place.tag, toPut);
    } else {
      const { isListed } = await to.putManifest(manifest.digest, manifest);
      if (!isListed) await addToList(to, place.subject, place.listed);
    }
  }
}

/**
 * What a tag is to hold afterwards; undefined where that is there, or there is no tag. Others may have signed the copy: their
 * layers stay, and those that are not there come behind them.
 */
async function toPutOf(
  to: WritableRegistry,
  { manifest, place }: Companion,
): Promise<ResolvedDocument<ManifestDigest> | undefined> {
  if (place.kind !== "tag") return undefined;
  const there = await to.readManifest(place.tag);
  if (there?.digest === manifest.digest) return undefined;
  return there === undefined ? manifest : withLayersOf(there, manifest);
}

function withLayersOf(
  there: ResolvedDocument<ManifestDigest>,
  more: ResolvedDocument<ManifestDigest>,
): ResolvedDocument<ManifestDigest> {
  const [document, other] = [there, more].map(({ bytes, digest }) => parseDocument(bytes, `manifest ${digest}`));
  const layersIn = (place: JsonPlace | undefined) =>
    place === undefined ? [] : arrayOf(member(place, "layers"), companionLimit).map(({ value }) => value);
  const present = layersIn(document);
  const known = new Set(present.map((layer) => JSON.stringify(layer)));
  const missing = layersIn(other).filter((layer) => !known.has(JSON.stringify(layer)));
  if (present.length + missing.length > companionLimit) throw tooMany(there.digest);
  return documentOf(there.mediaType, {
    ...fieldsOf(document),
    layers: [...present, ...missing],
  });
}

/** Registries without the API for referrers keep their index under a tag, which is the client's to write. */
async function addToList(to: WritableRegistry, subject: ManifestDigest, listed: Referrer): Promise<void> {
  const tag = referrersTag(subject);
  const there = await to.readManifest(tag);
  const index = there && parseDocument(there.bytes, `index ${there.digest}`);
  const entries = index === undefined ? [] : arrayOf(member(index, "manifests"), 1000);
  if (entries.some((entry) => optional(entry, "digest")?.value === listed.digest)) return;
  if (entries.length >= companionLimit) throw tooMany(subject);
  const { mediaType, digest, sizeBytes: size, artifactType, annotations } = listed;
  const entry = {
    ...{ mediaType, digest, size },
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations.size > 0 && { annotations: Object.fromEntries(annotations) }),
  };
  const manifests = [...entries.map(({ value }) => value), entry];
  await to.putManifest(
    tag,
    documentOf(ociIndexType, { schemaVersion: 2, mediaType: ociIndexType, ...fieldsOf(index), manifests }),
  );
}

/** Readers refuse all that is there when it is more. */
function tooMany(digest: ManifestDigest): OsdeployError {
  return new OsdeployError(
    "limit-exceeded",
    `Cannot add to what is beside ${digest} in the destination: it would be more than ${companionLimit}`,
    { facts: { hint: "Leave the signatures behind with --remove-signatures" } },
  );
}

function fieldsOf(place: JsonPlace | undefined): Readonly<Record<string, unknown>> {
  return place === undefined ? {} : Object.fromEntries(entriesOf(place).map(([key, { value }]) => [key, value]));
}

function documentOf(mediaType: string, value: object): ResolvedDocument<ManifestDigest> {
  const bytes = encodeText(JSON.stringify(value));
  return { mediaType, digest: parseManifestDigest(sha256Of(bytes)), bytes };
}
