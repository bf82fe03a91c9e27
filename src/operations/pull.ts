import { formatImageReference } from "../core/oci/reference.ts";
import type { ResolvedImage } from "../image-source/image-source.ts";
import type { Path } from "../linux/linux.ts";
import { listTags } from "../repo/references.ts";
import type { Repo } from "../repo/repo.ts";
import { tagOfReference } from "./find-image.ts";
import { type ImageRequest, withOfferedImage } from "./offered-image.ts";
import { type PulledImage, pullImage } from "./pull-image.ts";
import type { System } from "./system.ts";
import { withWritableRepo } from "./writable-repo.ts";

export interface PullRequest extends ImageRequest {
  readonly repo: Path;
  /** Whether to make the root image that boots, besides the one to look at. */
  readonly bootable: boolean;
  /** Whether to bring layers again of which a file is damaged; an image that has a name in the repo gets no other one. */
  readonly repair?: boolean;
}

export interface PullResult extends PulledImage {
  /** The canonical reference. */
  readonly image: string;
  /** The name that the image has in the repo. */
  readonly tag: string;
}

/** Brings an image into a repo. */
export async function pull(system: System, request: PullRequest): Promise<PullResult> {
  system.progress({ kind: "start", task: "pull", subject: formatImageReference(request.image) });
  const result = await withWritableRepo(system, { path: request.repo, access: "write" }, (repo) =>
    withOfferedImage(system, repo, request, async (offered) => {
      const { bootable, repair = false } = request;
      const tag = (repair ? nameOf(repo, offered.image) : undefined) ?? tagOfReference(offered.reference);
      const pulled = await pullImage(system, repo, { ...offered, tag, bootable, repair });
      return { image: formatImageReference(offered.reference), tag, ...pulled };
    }),
  );
  system.progress({ kind: "done" });
  return result;
}

/** What keeps the image in the repo already: for a deployment, the name that goes with it. */
function nameOf(repo: Repo, { manifest }: ResolvedImage): string | undefined {
  return listTags(repo).find((each) => each.manifest === manifest.digest)?.tag;
}
