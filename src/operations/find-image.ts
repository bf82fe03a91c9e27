import { digestsBeginning, leastDigits } from "../core/digest/digest-beginning.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { type DiffId, type ManifestDigest, parseManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import { checkDocumentType } from "../core/oci/document-type.ts";
import { formatFollowedReference } from "../core/oci/followed-reference.ts";
import { type ImageConfig, pairLayers, parseImageConfig } from "../core/oci/image-config.ts";
import { parseDocument } from "../core/oci/json.ts";
import { type LayerDescriptor, type Manifest, parseManifest } from "../core/oci/manifest.ts";
import { formatImageReference, type ImageReference, parseImageReference } from "../core/oci/reference.ts";
import type { Path } from "../linux/linux.ts";
import { listTags, resolveTag } from "../repo/references.ts";
import type { Repo } from "../repo/repo.ts";
import { findStream, manifestStreamName, readConfig, readManifest, rootImageRefs } from "../repo/streams.ts";
import { deployedOrigins } from "./deployed-images.ts";
import { isDeploymentTag } from "./deployment-tag.ts";

/** An image that the repo holds. */
export interface StoredImage {
  readonly manifestDigest: ManifestDigest;
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly config: ImageConfig;
  readonly layers: readonly (LayerDescriptor & { readonly diffId: DiffId })[];
  readonly configBytes: Uint8Array;
  /** Undefined as long as none was made. */
  readonly rawImage: ObjectId | undefined;
  readonly bootImage: ObjectId | undefined;
}

/** The tag that an image gets in the repo when it is pulled: its reference, without `docker://`. */
export function tagOfReference(reference: ImageReference): string {
  return asTag(formatImageReference(reference));
}

function asTag(text: string): string {
  return text.replace(/^docker:\/\//, "");
}

/**
 * Finds the image that `words` name: a tag, a reference that was pulled, a manifest's digest, what a deployment of the repo's
 * sysroot follows, or the beginning of the digest of an image that has a tag.
 *
 * @throws OsdeployError `not-found` when the repo has no such image; `usage` when it may be several, or they begin as a digest and
 * are none.
 */
export function findImage(repo: Repo, words: string): StoredImage {
  return readStoredImage(repo, findManifest(repo, words));
}

/**
 * The tag that `words` name: as it stands, or as the reference that was pulled.
 *
 * @throws OsdeployError `not-found` when the repo has no such tag.
 */
export function findTag(repo: Repo, words: string): string {
  const tag = knownTag(repo, words);
  if (tag === undefined) throw notFound(repo, words);
  return tag;
}

function findManifest(repo: Repo, words: string): ManifestDigest {
  const tag = knownTag(repo, words);
  const tagged = tag === undefined ? undefined : resolveTag(repo, tag);
  if (tagged !== undefined) return tagged;
  if (isDigest(words) && findStream(repo, manifestStreamName(words)) !== undefined) return words;
  const [deployed, other] = deployedManifests(repo, words);
  if (other !== undefined) throw ambiguous(words, deployed ?? other, other);
  const digest = deployed ?? begunDigest(repo, words);
  if (digest === undefined) throw notFound(repo, words);
  return digest;
}

function isDigest(words: string): words is ManifestDigest {
  return unlessFailing(() => parseManifestDigest(words)) !== undefined;
}

/** The one image in the repo whose digest begins with `words`, as tables show it; undefined where there is none. */
function begunDigest(repo: Repo, words: string): ManifestDigest | undefined {
  const isMeant = digestsBeginning(words);
  if (isMeant === undefined) {
    if (/^sha(256|512):/.test(words)) throw noDigest(words);
    return undefined;
  }
  const [only, other] = [...new Set(listTags(repo).map(({ manifest }) => manifest))].filter(isMeant);
  if (only === undefined || other === undefined) return only;
  throw new OsdeployError("usage", `Cannot choose an image of "${words}": it may be ${only} or ${other}`, {
    facts: { image: words },
  });
}

function noDigest(words: string): OsdeployError {
  const state = `a digest is sha256: and 64 lower-case hex digits, or sha512: and 128, of which the first ${leastDigits} may be enough`;
  return new OsdeployError("usage", `Cannot find image "${words.slice(0, 200)}": ${state}`);
}

/** The images in the repo whose deployments follow what `words` name; after an upgrade of one tag that can be several. */
function deployedManifests(repo: Repo, words: string): readonly ManifestDigest[] {
  const reference = parseReference(words);
  if (reference === undefined) return [];
  const text = followedTag(repo, reference);
  const isMeant = (tag: string) => tag === text || (reference.kind === "short-name" && tag.endsWith(`/${text}`));
  const meant = deployedOrigins(repo.files, repo.path).filter(({ imageReference }) => isMeant(asTag(imageReference)));
  const held = meant.filter((origin) => findStream(repo, manifestStreamName(origin.manifestDigest)) !== undefined);
  return [...new Set(held.map(({ manifestDigest }) => manifestDigest))];
}

/** As a deployment that follows `reference` remembers it. Undefined where none can. */
function followedTag(repo: Repo, reference: ImageReference): string | undefined {
  return unlessFailing(() => asTag(formatFollowedReference(reference, () => repo.files.realPath("." as Path))));
}

function ambiguous(words: string, one: ManifestDigest, other: ManifestDigest): OsdeployError {
  const state = `several deployments follow it, with the images ${one} and ${other}`;
  return new OsdeployError("usage", `Cannot choose an image of "${words}": ${state}`, {
    facts: { image: words, hint: "Name one by its digest; osdeploy status tells which deployment has which" },
  });
}

function knownTag(repo: Repo, words: string): string | undefined {
  return [words, canonicalTag(repo, words) ?? words].find((tag) => resolveTag(repo, tag) !== undefined);
}

function notFound(repo: Repo, words: string): OsdeployError {
  const origins = deployedOrigins(repo.files, repo.path);
  const isNamed = (manifest: ManifestDigest) => origins.some(({ manifestDigest }) => manifestDigest === manifest);
  const tags = [
    ...new Set(origins.map(({ imageReference }) => asTag(imageReference))),
    ...listTags(repo).flatMap(({ tag, manifest }) => (isDeploymentTag(tag) && isNamed(manifest) ? [] : [tag])),
  ];
  const state = tags.length === 0 ? "the repo holds no image" : `the repo holds ${tags.slice(0, 8).join(", ")}`;
  return new OsdeployError("not-found", `Cannot find image "${words}": ${state}`, { facts: { image: words } });
}

/**
 * The tag that `words` stand for: their reference in full. A short name stands for the only image whose name ends so.
 * Undefined when `words` are no reference: then they can only be a tag as it stands.
 */
function canonicalTag(repo: Repo, words: string): string | undefined {
  const reference = parseReference(words);
  if (reference === undefined) return undefined;
  const tag = tagOfReference(reference);
  if (reference.kind !== "short-name") return tag;
  const ending = listTags(repo).filter((each) => each.tag.endsWith(`/${tag}`));
  return ending.length === 1 ? ending[0]?.tag : undefined;
}

function parseReference(words: string): ImageReference | undefined {
  try {
    return parseImageReference(words);
  } catch {
    return undefined;
  }
}

/** Reads an image's documents. @throws OsdeployError `not-found`, `damaged`. */
export function readStoredImage(repo: Repo, manifestDigest: ManifestDigest): StoredImage {
  const { bytes: manifestBytes } = readManifest(repo, manifestDigest);
  const manifest = parseStoredManifest(manifestBytes, manifestDigest);
  const { bytes: configBytes, refs } = readConfig(repo, manifest.config.digest);
  const config = parseImageConfig(configBytes, manifest.config.digest);
  return {
    manifestDigest,
    manifest,
    manifestBytes,
    config,
    layers: pairLayers(manifest.layers, config, manifestDigest),
    configBytes,
    rawImage: refs.get(rootImageRefs[1].raw) ?? refs.get(rootImageRefs[2].raw),
    bootImage: refs.get(rootImageRefs[1].boot) ?? refs.get(rootImageRefs[2].boot),
  };
}

function parseStoredManifest(bytes: Uint8Array, digest: ManifestDigest): Manifest {
  const place = parseDocument(bytes, digest);
  return parseManifest(place, checkDocumentType(place, undefined).mediaType);
}
