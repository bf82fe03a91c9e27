import { findKernel } from "../core/boot/kernel.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { assert } from "../core/errors.ts";
import type { Platform } from "../core/oci/platform.ts";
import type { ImageReference } from "../core/oci/reference.ts";
import type { FileTree } from "../core/tree/inode.ts";
import { readRootImage } from "../repo/object-graph.ts";
import type { WritableRepo } from "../repo/repo.ts";
import { type ImageRequest, signersOf, withOfferedImage } from "./offered-image.ts";
import { type PulledImage, pullImage } from "./pull-image.ts";
import { deploymentTag } from "./switch.ts";
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
 * @throws OsdeployError `not-bootable` when it has no kernel, before anything of it is named.
 */
export async function pullForInstall(
  system: System,
  repo: WritableRepo,
  request: ImageRequest & { readonly checkTree: (tree: FileTree) => void },
): Promise<InstallImage> {
  return await withOfferedImage(system, repo, request, async (offered) => {
    const manifestDigest = offered.image.manifest.digest;
    const checkTree = (tree: FileTree) => {
      findKernel(tree);
      request.checkTree(tree);
    };
    const tag = deploymentTag(manifestDigest);
    const pulled = await pullImage(system, repo, { ...offered, tag, bootable: true, checkTree });
    assert(pulled.bootImage !== undefined, "a bootable pull makes a boot image");
    const tree = readRootImage(repo, pulled.bootImage);
    const { reference } = offered;
    const { bootImage: rootImage } = pulled;
    const found = { rootImage, tree, manifestDigest, reference, verifiedBy: signersOf(offered) };
    return { repo, ...found, platform: request.platform, pulled };
  });
}
