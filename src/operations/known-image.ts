import type { DiffId } from "../core/digest/oci-digest.ts";
import { unlessFailing } from "../core/errors.ts";
import { RootImageFiles } from "../repo/known-files.ts";
import { readUncheckedRootImage } from "../repo/object-graph.ts";
import { listTags } from "../repo/references.ts";
import type { Repo } from "../repo/repo.ts";
import { readStoredImage, type StoredImage } from "./find-image.ts";

/** Images that are looked at: each costs two small documents. */
const imagesLimit = 64;

/**
 * The files of the image in the repo that is most like the one with these layers: most of an upgrade's files are in it.
 *
 * It is a hint that saves work, so anything wrong with that image only means no hint.
 */
export function findKnownFiles(repo: Repo, layers: readonly { readonly diffId: DiffId }[]): RootImageFiles | undefined {
  const rootImage = findSimilarImage(repo, layers)?.rawImage;
  if (rootImage === undefined) return undefined;
  return unlessFailing(() => RootImageFiles.of(readUncheckedRootImage(repo, rootImage), repo.algorithm));
}

/**
 * The image in the repo that is most like the one with these layers: shares the most of them; among equals the one last
 * in the order of tags, where versions mostly rise. Images that cannot be read are passed over.
 */
export function findSimilarImage(repo: Repo, layers: readonly { readonly diffId: DiffId }[]): StoredImage | undefined {
  const wanted = new Set(layers.map(({ diffId }) => diffId));
  const shared = ({ config }: StoredImage) => config.diffIds.filter((diffId) => wanted.has(diffId)).length;
  const digests = new Set(listTags(repo).map(({ manifest }) => manifest));
  const images = [...digests]
    .slice(-imagesLimit)
    .flatMap((digest) => unlessFailing(() => readStoredImage(repo, digest)) ?? []);
  return images.reduce<StoredImage | undefined>(
    (found, image) => (found === undefined || shared(image) >= shared(found) ? image : found),
    undefined,
  );
}
