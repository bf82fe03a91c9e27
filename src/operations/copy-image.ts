import { OsdeployError } from "../core/errors.ts";
import { formatImageReference } from "../core/oci/reference.ts";
import type { ImageSource, ResolvedImage } from "../image-source/image-source.ts";
import { openImageDestination } from "../image-source/open-image-destination.ts";
import { openImageSource } from "../image-source/open-image-source.ts";
import { type CopiedIndex, copyIndex } from "./copy-index.ts";
import type { CopyImageRequest } from "./copy-request.ts";
import { companionsOf } from "./copy-signatures.ts";
import { fetchedTar } from "./layer-bytes.ts";
import { resolveTrusted } from "./offered-image.ts";
import { checkDigestFile, type ImageToSend, type SentImage, sendImage } from "./send-image.ts";
import type { System } from "./system.ts";

/** What was copied of one image. */
export interface CopiedImage extends SentImage {
  readonly kind: "image";
  /** The canonical reference of the source. */
  readonly image: string;
}

/** What was copied. */
export type CopyImageResult = CopiedImage | CopiedIndex;

/**
 * Copies an image from one place to another, without a repo. The signature policy is asked as for a pull. Between
 * registries, signatures and what else refers to the image go along as long as its manifest stays as it is: they are about
 * that manifest.
 */
export async function copyImage(system: System, request: CopyImageRequest): Promise<CopyImageResult> {
  const { linux, signal } = system;
  if (request.all && (request.format !== undefined || request.level !== undefined)) {
    const text = `Cannot copy all of ${formatImageReference(request.image)} with another compression: it would be another index`;
    throw new OsdeployError("usage", text, { facts: { hint: "Copy it as it is, or one platform at a time" } });
  }
  system.progress({ kind: "start", task: "copy", subject: formatImageReference(request.image) });
  checkDigestFile(linux.files, request.digestFile);
  const source = openImageSource(request.image, linux, { ...request.source, signal });
  try {
    system.progress({ kind: "phase", phase: "resolve" });
    const index = request.all ? await source.resolveIndex() : undefined;
    const asked =
      index === undefined ? copyOne(system, request, source) : copyIndex(system, request, { source, index });
    const copied = await asked;
    system.progress({ kind: "done" });
    return copied;
  } finally {
    await source.close();
  }
}

async function copyOne(system: System, request: CopyImageRequest, source: ImageSource): Promise<CopiedImage> {
  const { image } = await resolveTrusted(system, source, request);
  const options = { ...request.destinationOptions, signal: system.signal };
  const destination = await openImageDestination(request.destination, system.linux, options);
  try {
    const companions = await companionsOf(system, { source, image, request }, destination);
    const toSend = { ...imageToSend(source, image), companions };
    const sent = await sendImage(system, toSend, { destination, options: request });
    return { kind: "image", image: source.describe(), ...sent };
  } finally {
    await destination.close();
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
