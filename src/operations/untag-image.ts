import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { resolveTag, untagImage } from "../repo/references.ts";
import type { WritableRepo } from "../repo/repo.ts";
import { isDeploymentTag } from "./deployment-tag.ts";
import { findTag } from "./find-image.ts";
import type { System } from "./system.ts";
import { withWritableRepo } from "./writable-repo.ts";

export interface UntagImagesRequest {
  readonly repo: Path;
  /** Tags, or references that were pulled. */
  readonly images: readonly string[];
}

/** A tag that is gone, and the image that it named. */
export interface UntaggedImage {
  readonly tag: string;
  readonly manifestDigest: ManifestDigest;
}

/**
 * Takes tags away. What only they kept is for the next gc; an image that other tags or deployments keep stays. All names
 * are looked up before the first one goes. Durable when it returns.
 *
 * @throws OsdeployError `not-found` when the repo has no such tag; `usage` for the tag that keeps a deployment.
 */
export async function untagImages(system: System, request: UntagImagesRequest): Promise<readonly UntaggedImage[]> {
  return await withWritableRepo(system, { path: request.repo, access: "write" }, (repo) => {
    const tags = new Set(request.images.map((words) => findTag(repo, words)));
    const found = [...tags].map((tag) => untaggable(repo, tag));
    for (const { tag } of found) untagImage(repo, tag);
    return found;
  });
}

function untaggable(repo: WritableRepo, tag: string): UntaggedImage {
  if (isDeploymentTag(tag)) {
    throw new OsdeployError("usage", `Cannot take the tag "${tag}" away: it keeps a deployment`, {
      facts: { hint: "Deployments that are not needed any more are removed by: osdeploy gc" },
    });
  }
  const manifestDigest = resolveTag(repo, tag);
  if (manifestDigest === undefined) throw new OsdeployError("not-found", `Cannot find image "${tag}": it is gone`);
  return { tag, manifestDigest };
}
