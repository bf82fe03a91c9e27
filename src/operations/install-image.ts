import { findKernel } from "../core/boot/kernel.ts";
import { countBytes } from "../core/bytes/byte-count.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { assert, OsdeployError } from "../core/errors.ts";
import type { Platform } from "../core/oci/platform.ts";
import type { ImageReference } from "../core/oci/reference.ts";
import type { FileTree } from "../core/tree/inode.ts";
import type { ResolvedImage } from "../image-source/image-source.ts";
import { childPath } from "../linux/path.ts";
import { openRootImage } from "../repo/object-graph.ts";
import type { WritableRepo } from "../repo/repo.ts";
import { stagingPath } from "../repo/repo-paths.ts";
import { findStream, layerStreamName } from "../repo/streams.ts";
import { deploymentTag } from "./deployment-tag.ts";
import { type ImageRequest, signersOf, withOfferedImage } from "./offered-image.ts";
import { type PulledImage, pullImage } from "./pull-image.ts";
import type { System } from "./system.ts";

/** An image in a repo, ready to become the first deployment of a machine. */
export interface InstallImage {
  readonly repo: WritableRepo;
  readonly rootImage: ObjectId;
  /** What the root image holds. */
  readonly tree: FileTree;
  readonly manifestDigest: ManifestDigest;
  /** The keys and certificates that its signatures were checked with. */
  readonly verifiedBy: readonly string[];
  /** What the image is called in full. */
  readonly reference: ImageReference;
  readonly platform: Platform;
  readonly pulled: PulledImage;
}

/**
 * Pulls the image that is to be installed.
 *
 * @throws OsdeployError `no-space` when not even its compressed layers fit, before any of them is fetched; `not-bootable` when
 * it has no kernel, before anything of it is named.
 */
export async function pullForInstall(
  system: System,
  repo: WritableRepo,
  request: ImageRequest & { readonly checkTree: (tree: FileTree) => void },
): Promise<InstallImage> {
  return await withOfferedImage(system, repo, request, async (offered) => {
    // A directory's files are staged already.
    if (offered.layers.kind === "source") checkRoom(repo, offered.image);
    const manifestDigest = offered.image.manifest.digest;
    const checkTree = (tree: FileTree) => {
      findKernel(tree);
      request.checkTree(tree);
    };
    const tag = deploymentTag(manifestDigest);
    const pulled = await pullImage(system, repo, { ...offered, tag, bootable: true, checkTree });
    assert(pulled.bootImage !== undefined, "a bootable pull makes a boot image");
    const tree = openRootImage(repo, pulled.bootImage);
    const { reference } = offered;
    const { bootImage: rootImage } = pulled;
    const found = { rootImage, tree, manifestDigest, reference, verifiedBy: signersOf(offered) };
    return { repo, ...found, platform: request.platform, pulled };
  });
}

/**
 * How large the files of an image are nobody knows before its layers are there. But they are no smaller than what they come
 * in, and what does not fit so need not be fetched.
 */
function checkRoom(repo: WritableRepo, { layers }: ResolvedImage): void {
  const missing = layers.filter(({ diffId }) => findStream(repo, layerStreamName(diffId)) === undefined);
  const sizes = new Map(missing.map(({ digest, sizeBytes }) => [digest, sizeBytes]));
  const neededBytes = [...sizes.values()].reduce((sum, sizeBytes) => sum + sizeBytes, 0);
  const availableBytes = repo.files.space(repo.path).availableBytes + keptBytes(repo);
  if (neededBytes <= availableBytes) return;
  const state = `its layers alone have ${countBytes(neededBytes)}, and ${countBytes(availableBytes)} are free for the repo`;
  throw new OsdeployError("no-space", `Cannot install this image: ${state}`, {
    facts: { neededBytes, availableBytes },
  });
}

/** What a stopped run left of layers, which is not fetched again. */
function keptBytes({ files, path }: WritableRepo): number {
  const staging = stagingPath(path);
  if (files.lstatIfExists(staging) === undefined) return 0;
  const kept = files.readDirectory(staging).filter((name) => name.startsWith("layer-"));
  return kept.reduce((sum, name) => sum + files.lstat(childPath(staging, name)).sizeBytes, 0);
}
