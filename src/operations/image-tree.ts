import type { FileTree } from "../core/tree/inode.ts";
import { mergeLayers } from "../core/tree/merge-layers.ts";
import { toBootTree, toRawTree } from "../core/tree/root-tree.ts";
import type { Path } from "../linux/linux.ts";
import { readRootImage } from "../repo/object-graph.ts";
import { openRepo, type Repo } from "../repo/repo.ts";
import { readLayer } from "../repo/streams.ts";
import { findImage, type StoredImage } from "./find-image.ts";
import { readContent } from "./read-content.ts";
import type { System } from "./system.ts";

/** Which image in which repo, and which of its two trees. */
export interface ImageRequest {
  readonly repo: Path;
  /** A tag, a reference that was pulled, or a manifest's digest. */
  readonly image: string;
  /** Whether the tree that boots is meant, with SELinux labels and without the content of /boot. */
  readonly bootable: boolean;
}

/** Opens the repo to read, finds the image, and closes the repo after `use`. */
export async function withImage<T>(
  system: System,
  request: Pick<ImageRequest, "repo" | "image">,
  use: (repo: Repo, image: StoredImage) => T | Promise<T>,
): Promise<T> {
  const repo = openRepo(system.linux, request.repo, { access: "read", wait: true });
  try {
    return await use(repo, findImage(repo, request.image));
  } finally {
    repo.close();
  }
}

/**
 * The tree of an image: from its root image where the repo has one, else merged from its layers. `read` is `openRootImage` for
 * who looks at few directories.
 *
 * @throws OsdeployError `not-bootable` when the tree that boots is wanted and cannot be made.
 */
export function readImageTree(
  repo: Repo,
  image: StoredImage,
  { bootable }: Pick<ImageRequest, "bootable">,
  read = readRootImage,
): FileTree {
  const rootImage = bootable ? image.bootImage : image.rawImage;
  if (rootImage !== undefined) return read(repo, rootImage);
  const raw = toRawTree(mergeLayers(image.config.diffIds.map((diffId) => readLayer(repo, diffId))));
  return bootable ? toBootTree(raw, (content) => readContent(repo, content)) : raw;
}
