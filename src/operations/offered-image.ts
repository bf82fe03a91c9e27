import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import type { Platform } from "../core/oci/platform.ts";
import { formatImageReference, type ImageReference, type RootDirectoryReference } from "../core/oci/reference.ts";
import { checkTrust, type TrustRecord } from "../image-source/check-trust.ts";
import type { ImageSource, ResolvedImage } from "../image-source/image-source.ts";
import { openImageSource, type SourceOptions, trustOptions } from "../image-source/open-image-source.ts";
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
  /** What the image is to be remembered by: as it was asked for, a short name in full. */
  readonly reference: ImageReference;
  readonly image: ResolvedImage;
  readonly layers: OfferedLayers;
}

/** An image that the signature policy lets pass. */
export interface TrustedImage extends OfferedImage {
  /** What the policy said of it, before anything of a layer was fetched. */
  readonly trust: TrustRecord;
}

/** The keys and certificates by which the policy took an image; none where it asked for no signature. */
export function signersOf({ trust }: Pick<TrustedImage, "trust">): readonly string[] {
  return trust.kind === "verified" ? trust.by : [];
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
  use: (offered: TrustedImage) => Promise<T>,
): Promise<T> {
  const { image: reference } = request;
  if (reference.kind === "root-directory") return await withDirectory(system, repo, { ...request, reference }, use);
  const source = openImageSource(reference, system.linux, { ...request.source, signal: system.signal });
  try {
    system.progress({ kind: "phase", phase: "resolve" });
    const { image, trust } = await resolveTrusted(system, source, request);
    return await use({ reference: source.reference(), image, trust, layers: { kind: "source", source } });
  } finally {
    await source.close();
  }
}

/**
 * Finds the image in its source, and asks the signature policy. Nothing else in osdeploy resolves one image.
 *
 * @throws OsdeployError `untrusted` where the policy refuses it.
 */
export async function resolveTrusted(
  { linux, signal }: Pick<System, "linux" | "signal">,
  source: ImageSource,
  request: Pick<ImageRequest, "platform" | "source">,
): Promise<{ readonly image: ResolvedImage; readonly trust: TrustRecord }> {
  const image = await source.resolve(request.platform);
  return { image, trust: await checkTrusted({ linux, signal }, source, { ...request, digest: image.manifest.digest }) };
}

/** Asks the signature policy about a manifest of what a source has resolved. @throws OsdeployError `untrusted`. */
export async function checkTrusted(
  { linux, signal }: Pick<System, "linux" | "signal">,
  source: ImageSource,
  request: Pick<ImageRequest, "source"> & { readonly digest: ManifestDigest; readonly isPart?: boolean },
): Promise<TrustRecord> {
  const { digest: manifestDigest, isPart } = request;
  const found = { reference: source.reference(), registry: source.registry(), manifestDigest, isPart };
  return checkTrust(linux, found, trustOptions(linux, { ...request.source, signal }));
}

async function withDirectory<T>(
  system: System,
  repo: WritableRepo,
  { reference, platform, source }: Omit<ImageRequest, "image"> & { readonly reference: RootDirectoryReference },
  use: (offered: TrustedImage) => Promise<T>,
): Promise<T> {
  const run = new StagingRun(repo);
  try {
    const name = formatImageReference(reference);
    const { image, layer } = await stageRootDirectory(system, repo, { path: reference.path, platform, name, run });
    const found = { reference, registry: undefined, manifestDigest: image.manifest.digest };
    const trust = await checkTrust(
      system.linux,
      found,
      trustOptions(system.linux, { ...source, signal: system.signal }),
    );
    return await use({ reference, image, trust, layers: { kind: "staged", run, layer } });
  } finally {
    run.close();
  }
}
