import { formatImageReference } from "../core/oci/reference.ts";
import type { Path } from "../linux/linux.ts";
import { openRepo } from "../repo/repo.ts";
import { tagOfReference } from "./find-image.ts";
import { type ImageRequest, withOfferedImage } from "./offered-image.ts";
import { type PulledImage, pullImage } from "./pull-image.ts";
import type { System } from "./system.ts";

export interface PullRequest extends ImageRequest {
  readonly repo: Path;
  /** Whether to make the root image that boots, besides the one to look at. */
  readonly bootable: boolean;
}

export interface PullResult extends PulledImage {
  /** The canonical reference. */
  readonly image: string;
  /** The name that the image has in the repo. */
  readonly tag: string;
}

/** Brings an image into a repo. */
export async function pull(system: System, request: PullRequest): Promise<PullResult> {
  const image = formatImageReference(request.image);
  system.progress({ kind: "start", task: "pull", subject: image });
  const tag = tagOfReference(request.image);
  const repo = openRepo(system.linux, request.repo, { access: "write", wait: true });
  try {
    const pulled = await withOfferedImage(system, repo, request, (offered) =>
      pullImage(system, repo, { ...offered, tag, bootable: request.bootable }),
    );
    system.progress({ kind: "done" });
    return { image, tag, ...pulled };
  } finally {
    repo.close();
  }
}
