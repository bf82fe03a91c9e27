import type { Platform } from "../core/oci/platform.ts";
import { formatImageReference, type ImageReference, type RootDirectoryReference } from "../core/oci/reference.ts";
import type { ImageSource, ResolvedImage } from "../image-source/image-source.ts";
import { openImageSource, type SourceOptions } from "../image-source/open-image-source.ts";
import type { ImportedLayer } from "../repo/layer-import.ts";
import type { WritableRepo } from "../repo/repo.ts";
import { StagingRun } from "../repo/staging-run.ts";
import { stageRootDirectory } from "./root-directory-layer.ts";
import type { System } from "./system.ts";

/** Which image is wanted, and how to get at it. */
export interface ImageRequest {
  readonly image: ImageReference;
  readonly platform: Platform;
  readonly source: SourceOptions;
}

/** An image as its source offers it: what it is, and where its layers are. */
export interface OfferedImage {
  readonly image: ResolvedImage;
  readonly layers: OfferedLayers;
}

/** Layers that can be fetched, or the one that had to be staged to know what it is. */
export type OfferedLayers =
  | { readonly kind: "source"; readonly source: ImageSource }
  | { readonly kind: "staged"; readonly run: StagingRun; readonly layer: ImportedLayer };

/** Finds the image that a reference names; it is there for the time of `use`. */
export async function withOfferedImage<T>(
  system: System,
  repo: WritableRepo,
  request: ImageRequest,
  use: (offered: OfferedImage) => Promise<T>,
): Promise<T> {
  const { image: reference } = request;
  if (reference.kind === "root-directory") return await withDirectory(system, repo, { ...request, reference }, use);
  const source = openImageSource(reference, system.linux, { ...request.source, signal: system.signal });
  try {
    system.progress({ kind: "phase", phase: "resolve" });
    return await use({ image: await source.resolve(request.platform), layers: { kind: "source", source } });
  } finally {
    await source.close();
  }
}

async function withDirectory<T>(
  system: System,
  repo: WritableRepo,
  { reference, platform }: { readonly reference: RootDirectoryReference; readonly platform: Platform },
  use: (offered: OfferedImage) => Promise<T>,
): Promise<T> {
  const run = new StagingRun(repo);
  try {
    const name = formatImageReference(reference);
    const { image, layer } = await stageRootDirectory(system, repo, { path: reference.path, platform, name, run });
    return await use({ image, layers: { kind: "staged", run, layer } });
  } finally {
    run.close();
  }
}
