import { sha256Of } from "../core/digest/blob-hasher.ts";
import { type ManifestDigest, parseLayerDigest, parseManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { type Descriptor, parseDescriptor } from "../core/oci/descriptor.ts";
import { parseDocument } from "../core/oci/json.ts";
import { arrayOf, entriesOf, type JsonPlace, member, optional } from "../core/oci/json-place.ts";
import { ociIndexType } from "../core/oci/media-type.ts";
import type { ImageDestination, WritableRegistry } from "../image-source/image-destination.ts";
import type { ImageSource, ResolvedDocument, ResolvedRegistry } from "../image-source/image-source.ts";
import { listReferrersIfTold, type Referrer, referrersTag } from "../image-source/referrers.ts";

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

/** Of one image; nobody keeps more. */
const companionLimit = 128;
/** What refers to what refers to the image: the signature of an attestation is about that. */
const depthLimit = 3;

/**
 * What the registry that an image comes from keeps beside its manifest.
 *
 * @throws OsdeployError as an `ImageSource` does; `limit-exceeded`.
 */
export async function findCompanions(
  registry: ResolvedRegistry,
  digest: ManifestDigest,
): Promise<readonly Companion[]> {
  const found: Companion[] = [];
  for (const ending of tagEndings) {
    const tag = `${referrersTag(digest)}${ending}`;
    const manifest = await registry.readManifest(tag);
    const blobs = manifest && blobsOf(manifest);
    if (manifest !== undefined && blobs !== undefined) found.push({ manifest, blobs, place: { kind: "tag", tag } });
  }
  let subjects: readonly ManifestDigest[] = [digest];
  for (let depth = 0; depth < depthLimit; depth++) {
    const reached = await Promise.all(subjects.map((subject) => referrersOf(registry, subject)));
    found.push(...reached.flat());
    subjects = reached.flat().map(({ manifest }) => manifest.digest);
    if (found.length > companionLimit) {
      throw new OsdeployError(
        "limit-exceeded",
        `Cannot copy what belongs to ${digest}: it is more than ${companionLimit}`,
      );
    }
  }
  return found;
}

async function referrersOf(registry: ResolvedRegistry, subject: ManifestDigest): Promise<readonly Companion[]> {
  const found: Companion[] = [];
  for (const listed of (await listReferrersIfTold(registry, subject)).slice(0, companionLimit + 1)) {
    const manifest = await registry.readManifest(listed.digest);
    const blobs = manifest && blobsOf(manifest);
    if (manifest === undefined || blobs === undefined) continue;
    found.push({ manifest, blobs, place: { kind: "referrer", subject, listed } });
  }
  return found;
}

/** Undefined for what is no manifest with a config and layers: it is not known what would belong to it. */
function blobsOf({ bytes, digest }: ResolvedDocument<ManifestDigest>): readonly Descriptor[] | undefined {
  const place = parseDocument(bytes, `manifest ${digest}`);
  const [config, layers] = [optional(place, "config"), optional(place, "layers")];
  if (config === undefined || layers === undefined) return undefined;
  return [config, ...arrayOf(layers, companionLimit)].map((each) => parseDescriptor(each, parseLayerDigest));
}

/** Whether what was found are signatures, not only statements about the image. */
export function isSignature({ place, blobs }: Companion): boolean {
  if (place.kind === "tag") return place.tag.endsWith(".sig");
  return blobs.some(({ mediaType }) => mediaType.startsWith("application/vnd.dev.sigstore.bundle"));
}

/** Writes them beside an image of the same manifest. What is there already stays, and is added to. */
export async function copyCompanions(
  companions: readonly Companion[],
  source: ImageSource,
  { destination, to }: { readonly destination: ImageDestination; readonly to: WritableRegistry },
): Promise<void> {
  for (const { manifest, blobs, place } of companions) {
    for (const blob of blobs) {
      if (!(await destination.hasBlob(blob))) await destination.putBlob(blob, () => source.openBlob(blob));
    }
    if (place.kind === "tag") {
      await putTagged(to, place.tag, manifest);
    } else {
      const { isListed } = await to.putManifest(manifest.digest, manifest);
      if (!isListed) await addToList(to, place.subject, place.listed);
    }
  }
}

/** Others may have signed the copy: their layers stay, and those of `manifest` that are not there come behind them. */
async function putTagged(to: WritableRegistry, tag: string, manifest: ResolvedDocument<ManifestDigest>): Promise<void> {
  const there = await to.readManifest(tag);
  if (there?.digest === manifest.digest) return;
  await to.putManifest(tag, there === undefined ? manifest : withLayersOf(there, manifest));
}

function withLayersOf(
  there: ResolvedDocument<ManifestDigest>,
  more: ResolvedDocument<ManifestDigest>,
): ResolvedDocument<ManifestDigest> {
  const [document, other] = [there, more].map(({ bytes, digest }) => parseDocument(bytes, `manifest ${digest}`));
  const layersIn = (place: JsonPlace | undefined) =>
    place === undefined ? [] : arrayOf(member(place, "layers"), companionLimit).map(({ value }) => value);
  const known = new Set(layersIn(document).map((layer) => JSON.stringify(layer)));
  const missing = layersIn(other).filter((layer) => !known.has(JSON.stringify(layer)));
  return documentOf(there.mediaType, {
    ...fieldsOf(document),
    layers: [...layersIn(document), ...missing],
  });
}

/** Registries without the API for referrers keep their index under a tag, which is the client's to write. */
async function addToList(to: WritableRegistry, subject: ManifestDigest, listed: Referrer): Promise<void> {
  const tag = referrersTag(subject);
  const there = await to.readManifest(tag);
  const index = there && parseDocument(there.bytes, `index ${there.digest}`);
  const entries = index === undefined ? [] : arrayOf(member(index, "manifests"), 1000);
  if (entries.some((entry) => optional(entry, "digest")?.value === listed.digest)) return;
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

function fieldsOf(place: JsonPlace | undefined): Readonly<Record<string, unknown>> {
  return place === undefined ? {} : Object.fromEntries(entriesOf(place).map(([key, { value }]) => [key, value]));
}

function documentOf(mediaType: string, value: object): ResolvedDocument<ManifestDigest> {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  return { mediaType, digest: parseManifestDigest(sha256Of(bytes)), bytes };
}
