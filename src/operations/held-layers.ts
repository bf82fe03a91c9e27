import type { DiffId, LayerDigest, ManifestDigest } from "../core/digest/oci-digest.ts";
import { unlessFailing } from "../core/errors.ts";
import type { Linux, Path } from "../linux/linux.ts";
import { openRepo } from "../repo/repo.ts";
import { findStream, layerStreamName } from "../repo/streams.ts";
import { readStoredImage } from "./find-image.ts";

/** A layer that a repo has. */
export interface HeldLayer {
  /** As the manifest of its image has it. */
  readonly digest: LayerDigest;
  readonly diffId: DiffId;
}

/**
 * Tells which layers of an image the repo at `path` has whole; null when it cannot: there is no repo, somebody is alone with
 * it, or the image's documents are not in it. Whatever is wrong is for others to tell.
 */
export function heldLayersReader(
  linux: Pick<Linux, "files" | "clock">,
  path: Path,
): (manifest: ManifestDigest) => readonly HeldLayer[] | null {
  return (manifest) => {
    const held = unlessFailing(() => {
      const repo = openRepo(linux, path, { access: "read", wait: false });
      try {
        return readStoredImage(repo, manifest)
          .layers.filter(({ diffId }) => findStream(repo, layerStreamName(diffId)) !== undefined)
          .map(({ digest, diffId }) => ({ digest, diffId }));
      } finally {
        repo.close();
      }
    });
    return held ?? null;
  };
}
