import {
  limitPromises,
  type PromisedDigest,
  promisesOfArtifact,
  promisesOfManifest,
  sealingArtifactType,
} from "../core/trust/promised-digests.ts";
import type { ResolvedImage } from "../image-source/image-source.ts";
import { findArtifacts } from "../image-source/referrers.ts";
import type { OfferedLayers } from "./offered-image.ts";

/**
 * What the image and what refers to it in its registry promise of its root images and documents.
 *
 * @throws OsdeployError as an `ImageSource` does; `bad-format` for an artifact that cannot be read, `limit-exceeded` for too
 * many promises.
 */
export async function readPromises(
  { manifest }: Pick<ResolvedImage, "manifest">,
  layers: OfferedLayers,
): Promise<readonly PromisedDigest[]> {
  const own = promisesOfManifest(manifest.bytes);
  const registry = layers.kind === "source" ? layers.source.registry() : undefined;
  if (registry === undefined) return own;
  const artifacts = await findArtifacts(registry, manifest.digest, sealingArtifactType);
  const subject = manifest.digest;
  return limitPromises([
    ...own,
    ...artifacts.flatMap(({ bytes, digest }) => promisesOfArtifact(bytes, { subject, name: `artifact ${digest}` })),
  ]);
}
