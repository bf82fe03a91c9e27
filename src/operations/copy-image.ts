import type { Platform } from "../core/oci/platform.ts";
import { formatImageReference, type ImageReference } from "../core/oci/reference.ts";
import type { ImageSource, ResolvedImage } from "../image-source/image-source.ts";
import { openImageDestination } from "../image-source/open-image-destination.ts";
import { openImageSource, type SourceOptions } from "../image-source/open-image-source.ts";
import { companionsOf } from "./copy-signatures.ts";
import { fetchedTar } from "./layer-bytes.ts";
import { resolveTrusted } from "./offered-image.ts";
import { type ImageToSend, type SendOptions, type SentImage, sendImage } from "./send-image.ts";
import type { System } from "./system.ts";

export interface CopyImageRequest extends SendOptions {
  readonly image: ImageReference;
  readonly platform: Platform;
  readonly source: SourceOptions;
  readonly destination: ImageReference;
  readonly destinationOptions: SourceOptions;
  /** Whether signatures and what else refers to the image stay where they are. */
  readonly removeSignatures: boolean;
}

/** What was copied. */
export interface CopyImageResult extends SentImage {
  /** The canonical reference of the source. */
  readonly image: string;
}

/**
 * Copies an image from one place to another, without a repo. The signature policy is asked as for a pull. Between
 * registries, signatures and what else refers to the image go along as long as its manifest stays as it is: they are about
 * that manifest.
 */
export async function copyImage(system: System, request: CopyImageRequest): Promise<CopyImageResult> {
  const { linux, signal } = system;
  system.progress({ kind: "start", task: "copy", subject: formatImageReference(request.image) });
  const source = openImageSource(request.image, linux, { ...request.source, signal });
  try {
    system.progress({ kind: "phase", phase: "resolve" });
    const { image } = await resolveTrusted(system, source, request);
    const options = { ...request.destinationOptions, signal };
    const destination = await openImageDestination(request.destination, linux, options);
    try {
      const companions = await companionsOf(system, { source, image, request }, destination);
      const toSend = { ...imageToSend(source, image), companions };
      const sent = await sendImage(system, toSend, { destination, options: request });
      system.progress({ kind: "done" });
      return { image: source.describe(), ...sent };
    } finally {
      await destination.close();
    }
  } finally {
    await source.close();
  }
}

function imageToSend(
  source: ImageSource,
  { manifest, config, imageConfig, layers }: ResolvedImage,
): Omit<ImageToSend, "companions"> {
  return {
    ...{ manifest, config, imageConfig, layers },
    tar: (layer, advance) => fetchedTar(source, layer, advance),
    blob: (layer) => source.openBlob(layer),
  };
}
