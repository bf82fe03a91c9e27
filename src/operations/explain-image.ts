import type { ObjectId, VerityAlgorithm } from "../core/digest/object-id.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { parseDocument } from "../core/oci/json.ts";
import { parseManifest } from "../core/oci/manifest.ts";
import { formatImageReference } from "../core/oci/reference.ts";
import { type PromisedDigest, promisesOfManifest } from "../core/trust/promised-digests.ts";
import type { ResolvedImage } from "../image-source/image-source.ts";
import type { Path } from "../linux/linux.ts";
import { openRepo, type Repo } from "../repo/repo.ts";
import { type ExplainedFile, explainFile } from "./explain-file.ts";
import { type ExplainedPromise, explainPromise, MadeDigests } from "./explain-promise.ts";
import { findImage, type StoredImage } from "./find-image.ts";
import { ImageTrees } from "./image-trees.ts";
import { type ImageRequest, withOfferedImage } from "./offered-image.ts";
import { bringLayersAlone } from "./pull-image.ts";
import { readPromises } from "./sealed-image.ts";
import type { System } from "./system.ts";
import { withWritableRepo } from "./writable-repo.ts";

export interface ExplainImageRequest {
  readonly repo: Path;
  /** As `findImage` takes it. */
  readonly image: string;
  /** Where to get it when the repo does not have it; undefined where it is not to be got. */
  readonly offered: ImageRequest | undefined;
  /** Whether the repo is not asked at all: the image is what its source has now. */
  readonly anew: boolean;
  /** A root image, or a dump of one, that is what was expected. */
  readonly expected: Path | undefined;
}

/** What an image gives, what is promised of it, and where the two part. */
export interface ExplainImageResult {
  readonly image: string;
  readonly manifestDigest: ManifestDigest;
  /** Of the repo, and so of the two below. */
  readonly algorithm: VerityAlgorithm;
  readonly rawImage: ObjectId | null;
  readonly bootImage: ObjectId | null;
  /** Why no root image that boots can be made; null where it can. */
  readonly bootRefusal: string | null;
  readonly promises: readonly ExplainedPromise[];
  readonly expected: ExplainedFile | null;
}

/**
 * Makes the root images of an image anew and compares them with what is promised of them, or with a file. An image that
 * was refused is not in the repo: its layers are fetched into it without a name, as an interrupted pull leaves them.
 *
 * @throws OsdeployError as a pull does; `not-found`.
 */
export async function explainImage(system: System, request: ExplainImageRequest): Promise<ExplainImageResult> {
  system.progress({ kind: "start", task: "check", subject: request.image });
  const result = request.anew ? undefined : explainStored(system, request);
  const explained = result ?? (await explainOffered(system, request));
  system.progress({ kind: "done" });
  return explained;
}

/** Undefined where the repo does not have it and it can be got elsewhere. */
function explainStored(system: System, request: ExplainImageRequest): ExplainImageResult | undefined {
  const repo = openRepo(system.linux, request.repo, { access: "read", wait: true });
  try {
    const image = findImage(repo, request.image);
    return explain(repo, { image, request, promises: promisesOfManifest(image.manifestBytes) });
  } catch (error) {
    const isMissing = error instanceof OsdeployError && error.code === "not-found" && "image" in error.facts;
    if (!isMissing || request.offered === undefined) throw error;
    return undefined;
  } finally {
    repo.close();
  }
}

async function explainOffered(system: System, request: ExplainImageRequest): Promise<ExplainImageResult> {
  const { offered: wanted } = request;
  if (wanted === undefined) throw new OsdeployError("usage", `Cannot fetch "${request.image}": it is no reference`);
  return await withWritableRepo(system, { path: request.repo, access: "write" }, (repo) =>
    withOfferedImage(system, repo, wanted, async ({ image, layers, reference }) => {
      if (layers.kind === "staged") {
        throw new OsdeployError(
          "usage",
          `Cannot explain ${formatImageReference(reference)}: nothing is promised of it`,
        );
      }
      const promises = await readPromises(image, layers);
      await bringLayersAlone(system, repo, layers.source, image);
      return explain(repo, { image: asStored(image), request, promises });
    }),
  );
}

function asStored({ manifest, config, imageConfig, layers }: ResolvedImage): StoredImage {
  return {
    manifestDigest: manifest.digest,
    manifest: parseManifest(parseDocument(manifest.bytes, manifest.digest), manifest.mediaType),
    manifestBytes: manifest.bytes,
    config: imageConfig,
    layers,
    configBytes: config.bytes,
    rawImage: undefined,
    bootImage: undefined,
  };
}

function explain(
  repo: Repo,
  {
    image,
    request,
    promises,
  }: {
    readonly image: StoredImage;
    readonly request: ExplainImageRequest;
    readonly promises: readonly PromisedDigest[];
  },
): ExplainImageResult {
  const { algorithm } = repo;
  const trees = new ImageTrees(repo, image);
  const digests = new MadeDigests(image, trees);
  const id = (tree: "raw" | "boot") => digests.rootImage({ tree, formatVersion: 1, algorithm }) ?? null;
  return {
    image: request.image,
    manifestDigest: image.manifestDigest,
    algorithm,
    rawImage: id("raw"),
    bootImage: id("boot"),
    bootRefusal: trees.bootRefusal ?? null,
    promises: promises.map((promise) => explainPromise(promise, digests)),
    expected: request.expected === undefined ? null : explainFile(repo.files, request.expected, { trees, algorithm }),
  };
}
