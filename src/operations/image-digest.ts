import { verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { writeErofs } from "../core/erofs/writer.ts";
import { type ImageRequest, readImageTree, withImage } from "./image-tree.ts";
import type { System } from "./system.ts";

export interface ImageDigestResult {
  readonly rootImage: ObjectId;
}

/** The id of an image's root image, as a `composefs=` kernel argument names it. Made in memory where the repo has none. */
export async function imageDigest(system: System, request: ImageRequest): Promise<ImageDigestResult> {
  return await withImage(system, request, (repo, image) => {
    const stored = request.bootable ? image.bootImage : image.rawImage;
    if (stored !== undefined) return { rootImage: stored };
    const bytes = writeErofs(readImageTree(repo, image, request), { version: 1 });
    return { rootImage: verityDigest(repo.algorithm, bytes) };
  });
}
