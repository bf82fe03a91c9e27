import { type ManifestDigest, parseLayerDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError, unless } from "../core/errors.ts";
import { type Descriptor, parseDescriptor } from "../core/oci/descriptor.ts";
import { parseDocument } from "../core/oci/json.ts";
import { arrayOf, type JsonPlace, member } from "../core/oci/json-place.ts";
import type { FoundSignature } from "../core/trust/judge-image.ts";
import { bundleMediaTypes } from "../core/trust/sigstore-bundle.ts";
import type { ResolvedRegistry } from "./image-source.ts";
import { signatureLimit, signatureLimitBytes } from "./lookaside.ts";
import { isAbout, listReferrers, referrersTag } from "./referrers.ts";

/** Of one image together. Nobody signs an image with more, and all are held until they are judged. */
const allSignaturesLimitBytes = 64 * 1024 * 1024;

const payloadMediaType = "application/vnd.dev.cosign.simplesigning.v1+json";
const manifestMediaType = "application/vnd.oci.image.manifest.v1+json";

/** Signatures beside an image. */
export interface FoundAttachments {
  readonly signatures: readonly FoundSignature[];
  /** Why there may be bundles that were not read; undefined where all were. */
  readonly untold: OsdeployError | undefined;
}

/**
 * The sigstore signatures that a registry holds beside an image: those under the tag that cosign 2, skopeo and podman use,
 * and the bundles that refer to it, as cosign 3 writes them. That there are none is no failure; not to know is one for the
 * tag. Many registries cannot tell what refers to an image: the other signatures stand, and one that is not known of lets
 * nothing pass.
 *
 * @throws OsdeployError as an `ImageSource` does; `bad-format`, `limit-exceeded` for what the registry answers.
 */
export async function findAttachments(registry: ResolvedRegistry, digest: ManifestDigest): Promise<FoundAttachments> {
  const budget = new Budget(registry);
  const signatures = [...(await taggedSignatures(budget, `${referrersTag(digest)}.sig`))];
  try {
    await addBundles(budget, digest, signatures);
    return { signatures, untold: undefined };
  } catch (error) {
    if (!(error instanceof OsdeployError) || error.code === "interrupted") throw error;
    return { signatures, untold: error };
  }
}

/** Counts what a registry makes us hold. Podman knows no limit of signatures beside an image; there has to be one. */
class Budget {
  readonly registry: ResolvedRegistry;
  #signatures = 0;
  #bytes = 0;

  constructor(registry: ResolvedRegistry) {
    this.registry = registry;
  }

  /** The bytes of one more signature. */
  async read(blob: Descriptor): Promise<Uint8Array> {
    this.#signatures++;
    this.#bytes += blob.sizeBytes;
    if (this.#signatures <= signatureLimit && this.#bytes <= allSignaturesLimitBytes) {
      return this.registry.readBlob(blob, signatureLimitBytes);
    }
    throw tooMuch();
  }
}

function tooMuch(): OsdeployError {
  return new OsdeployError(
    "limit-exceeded",
    `Cannot read signatures: there are more than ${signatureLimit}, or too large`,
  );
}

async function taggedSignatures(budget: Budget, tag: string): Promise<readonly FoundSignature[]> {
  const manifest = await budget.registry.readManifest(tag);
  if (manifest === undefined) return [];
  const found: FoundSignature[] = [];
  for (const layer of layersOf(parseDocument(manifest.bytes, `the signatures in ${tag}`))) {
    if (layer.mediaType !== payloadMediaType) continue;
    const payload = await budget.read(layer);
    found.push({ kind: "attachment", payload, annotations: layer.annotations });
  }
  return found;
}

function layersOf(manifest: JsonPlace): readonly Descriptor[] {
  return arrayOf(member(manifest, "layers"), signatureLimit).map((layer) => parseDescriptor(layer, parseLayerDigest));
}

/** The kinds that descriptors tell are not looked at: cosign 3 writes that of the config there, so each manifest is asked itself. */
async function addBundles(budget: Budget, digest: ManifestDigest, found: FoundSignature[]): Promise<void> {
  const listed = await listReferrers(budget.registry, digest);
  if (listed.length > signatureLimit) throw tooMuch();
  for (const descriptor of listed) {
    if (descriptor.mediaType === manifestMediaType) found.push(...(await bundlesOf(budget, descriptor, digest)));
  }
}

async function bundlesOf(
  budget: Budget,
  { digest }: Descriptor<ManifestDigest>,
  subject: ManifestDigest,
): Promise<readonly FoundSignature[]> {
  const manifest = await budget.registry.readManifest(digest);
  if (manifest === undefined) return [];
  const place = parseDocument(manifest.bytes, `manifest ${digest}`);
  if (!isAbout(place, subject)) return [];
  const found: FoundSignature[] = [];
  for (const layer of bundleLayers(place)) {
    found.push({ kind: "bundle", bytes: await budget.read(layer) });
  }
  return found;
}

/** What refers to an image may be anything; what does not look like an image with layers is no bundle. */
function bundleLayers(manifest: JsonPlace): readonly Descriptor[] {
  return (
    unless("bad-format", () => layersOf(manifest).filter(({ mediaType }) => bundleMediaTypes.includes(mediaType))) ?? []
  );
}
