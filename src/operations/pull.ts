import type { Platform } from "../core/oci/platform.ts";
import { formatImageReference, type ImageReference } from "../core/oci/reference.ts";
import type { ImageSource } from "../image-source/image-source.ts";
import { openImageSource, type SourceOptions } from "../image-source/open-image-source.ts";
import type { Path } from "../linux/linux.ts";
import { openRepo } from "../repo/repo.ts";
import { tagOfReference } from "./find-image.ts";
import { type PulledImage, pullImage } from "./pull-image.ts";
import type { System } from "./system.ts";

export interface PullRequest {
  readonly image: ImageReference;
  readonly repo: Path;
  readonly platform: Platform;
  readonly source: SourceOptions;
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
    const pulled = await withSource(system, request, async (source) => {
      system.progress({ kind: "phase", phase: "resolve" });
      const resolved = await source.resolve(request.platform);
      return await pullImage(system, repo, { source, image: resolved, tag, bootable: request.bootable });
    });
    system.progress({ kind: "done" });
    return { image, tag, ...pulled };
  } finally {
    repo.close();
  }
}

/** Opens the source that an image comes from, for the time of `use`. */
export async function withSource<T>(
  system: System,
  request: { readonly image: ImageReference; readonly source: SourceOptions },
  use: (source: ImageSource) => Promise<T>,
): Promise<T> {
  const source = openImageSource(request.image, system.linux, { ...request.source, signal: system.signal });
  try {
    return await use(source);
  } finally {
    await source.close();
  }
}
