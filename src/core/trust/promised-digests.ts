import { verityDigest } from "../digest/fs-verity.ts";
import type { ObjectId, VerityAlgorithm } from "../digest/object-id.ts";
import { OsdeployError } from "../errors.ts";
import { parseAnnotations } from "../oci/descriptor.ts";
import { parseDocument } from "../oci/json.ts";
import { arrayOf, optional, optionalText } from "../oci/json-place.ts";

/** What a promise is about: one of the two root images, or one of the image's documents. */
export type PromisedSubject = "raw" | "boot" | "config" | "manifest";

/** An fs-verity digest that somebody computed when the image was built or signed. */
export interface PromisedDigest {
  readonly subject: PromisedSubject;
  /** Of composefs's EROFS; undefined for documents. */
  readonly formatVersion: number | undefined;
  readonly algorithm: VerityAlgorithm;
  /** Of the blocks that are digested, 4096 where the key says 12. */
  readonly blockBytes: number;
  /** As it was written: hex, when it is good. */
  readonly digest: string;
  /** The annotation, and what refers to the image where it stands there. */
  readonly source: string;
  /** Whether it stands in what refers to the image, which its source alone has, and not in the image. */
  readonly isBeside: boolean;
}

/** The `artifactType` of what carries promises beside an image. */
export const sealingArtifactType = "application/vnd.composefs.metadata.v1";

/** Keys as the draft has them, but those of single layers: no image is made of one. */
const key =
  /^composefs\.(?:(merged|merged\.bootable)\.erofs\.v(0|[1-9][0-9]{0,2})|(config|manifest))\.fsverity-(sha256|sha512)-([0-9]{1,2})$/;

/** An artifact covers four things, by two algorithms. */
const layerLimit = 64;

/** In an image and all that refers to it. */
const promiseLimit = 64;

/**
 * The promises in an image's manifest: of its root images in the annotations of the whole, of the config in those of its
 * descriptor.
 *
 * @throws OsdeployError `bad-format`, `limit-exceeded`.
 * @see https://github.com/composefs/composefs-rs/blob/main/doc/plans/oci-sealing-spec.md
 */
export function promisesOfManifest(bytes: Uint8Array): readonly PromisedDigest[] {
  const document = parseDocument(bytes, "the manifest");
  const config = optional(document, "config");
  const ofConfig = config === undefined ? [] : promisesIn(parseAnnotations(config), undefined);
  return limitPromises([
    ...promisesIn(parseAnnotations(document), undefined).filter(({ formatVersion }) => formatVersion !== undefined),
    ...ofConfig.filter(({ subject }) => subject === "config"),
  ]);
}

/** The same promises. @throws OsdeployError `limit-exceeded` when they are more than anybody makes of one image. */
export function limitPromises(promises: readonly PromisedDigest[]): readonly PromisedDigest[] {
  if (promises.length <= promiseLimit) return promises;
  throw new OsdeployError(
    "limit-exceeded",
    `Cannot use this image: more than ${promiseLimit} digests are promised of it`,
  );
}

/**
 * The promises in an artifact that refers to the manifest `subject`; none in one of another kind, or about another image.
 * `name` names it in errors and in what the promises are told by.
 *
 * @throws OsdeployError `bad-format`, `limit-exceeded`.
 */
export function promisesOfArtifact(
  bytes: Uint8Array,
  { subject, name }: { readonly subject: string; readonly name: string },
): readonly PromisedDigest[] {
  const document = parseDocument(bytes, name);
  const about = optional(document, "subject");
  if (optionalText(document, "artifactType") !== sealingArtifactType) return [];
  if (about === undefined || optionalText(about, "digest") !== subject) return [];
  const layers = optional(document, "layers");
  const covered = layers === undefined ? [] : arrayOf(layers, layerLimit);
  return limitPromises(covered.flatMap((layer) => promisesIn(parseAnnotations(layer), name)));
}

function promisesIn(annotations: ReadonlyMap<string, string>, artifact: string | undefined): readonly PromisedDigest[] {
  return [...annotations].flatMap(([name, digest]) => {
    const [, image, version, document, algorithm, bits] = key.exec(name) ?? [];
    if (algorithm === undefined) return [];
    return [
      {
        subject: image === undefined ? (document as "config" | "manifest") : image === "merged" ? "raw" : "boot",
        formatVersion: version === undefined ? undefined : Number(version),
        algorithm: algorithm as VerityAlgorithm,
        blockBytes: 2 ** Number(bits),
        digest,
        source: `annotation ${name}${artifact === undefined ? "" : ` of ${artifact}`}`,
        isBeside: artifact !== undefined,
      },
    ];
  });
}

/** What was made of an image, to be compared with what is promised of it. */
export interface MadeImage {
  /** Of the root images. */
  readonly algorithm: VerityAlgorithm;
  readonly raw: ObjectId;
  /** Only where it was asked for. */
  readonly boot: ObjectId | undefined;
  readonly manifest: Uint8Array;
  readonly config: Uint8Array;
}

/**
 * Compares what was made with what is promised of it: root images of this algorithm and format, and documents by either
 * algorithm. Who built the image computed the digests, and may have signed the manifest that holds them. Gives the sources
 * of those that hold; what cannot be compared does not count.
 *
 * @throws OsdeployError `digest-mismatch` when one is not as promised.
 */
export function checkPromisedDigests(promises: readonly PromisedDigest[], made: MadeImage): readonly string[] {
  const held = new Set<string>();
  for (const promise of promises) {
    const found = madeDigest(promise, made);
    if (found === undefined) continue;
    if (found !== promise.digest) throw broken(promise, found);
    held.add(promise.source);
  }
  return [...held];
}

/** What the promise is to be compared with; undefined where there is nothing that could be. */
function madeDigest(
  { subject, formatVersion, algorithm, blockBytes }: PromisedDigest,
  made: MadeImage,
): ObjectId | undefined {
  if (blockBytes !== 4096) return undefined;
  if (subject === "config" || subject === "manifest") return verityDigest(algorithm, made[subject]);
  return formatVersion === 1 && algorithm === made.algorithm ? made[subject] : undefined;
}

const nameOf: Readonly<Record<PromisedSubject, string>> = {
  raw: "root image to look at",
  boot: "root image",
  config: "config",
  manifest: "manifest",
};

function broken({ subject, digest, source, isBeside }: PromisedDigest, found: ObjectId): OsdeployError {
  // What a repo has of an image is not all that was promised of it.
  const hint = `See what differs with: osdeploy image explain ${isBeside ? "--from-source " : ""}IMAGE`;
  return new OsdeployError(
    "digest-mismatch",
    `Cannot use this image: its ${nameOf[subject]} is not the one that its ${source} promises`,
    { facts: { promised: digest.slice(0, 200), found, hint } },
  );
}
