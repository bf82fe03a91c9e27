import type { ImageReference } from "../core/oci/reference.ts";
import { openImageDestination } from "../image-source/open-image-destination.ts";
import type { SourceOptions } from "../image-source/open-image-source.ts";
import type { Path } from "../linux/linux.ts";
import { openRepo, type Repo } from "../repo/repo.ts";
import { findImage, type StoredImage } from "./find-image.ts";
import { storedTar } from "./layer-bytes.ts";
import { checkDigestFile, type ImageToSend, type SendOptions, type SentImage, sendImage } from "./send-image.ts";
import type { System } from "./system.ts";

export interface PushImageRequest extends SendOptions {
  readonly repo: Path;
  /** As `findImage` takes it. */
  readonly image: string;
  readonly destination: ImageReference;
  readonly destinationOptions: SourceOptions;
}

/** What was pushed. */
export interface PushImageResult extends SentImage {
  /** What the user named. */
  readonly image: string;
}

/**
 * Writes an image of the repo to a registry, a layout or an archive. The repo keeps the tars of layers bit for bit, and not
 * how they were compressed: the layers are compressed anew, so their digests and the manifest's are others, and the config
 * stays.
 */
export async function pushImage(system: System, request: PushImageRequest): Promise<PushImageResult> {
  const { linux, signal } = system;
  system.progress({ kind: "start", task: "push", subject: request.image });
  checkDigestFile(linux.files, request.digestFile);
  const repo = openRepo(linux, request.repo, { access: "read", wait: true });
  try {
    const image = toSend(repo, findImage(repo, request.image));
    const options = { ...request.destinationOptions, signal };
    const destination = await openImageDestination(request.destination, linux, options);
    try {
      const sent = await sendImage(system, image, { destination, options: request });
      system.progress({ kind: "done" });
      return { image: request.image, ...sent };
    } finally {
      await destination.close();
    }
  } finally {
    repo.close();
  }
}

function toSend(repo: Repo, image: StoredImage): ImageToSend {
  const { manifestBytes, manifestDigest, configBytes, config, layers, manifest } = image;
  return {
    manifest: { mediaType: manifest.mediaType, digest: manifestDigest, bytes: manifestBytes },
    config: { mediaType: manifest.config.mediaType, digest: manifest.config.digest, bytes: configBytes },
    imageConfig: config,
    layers,
    tar: ({ diffId }) => storedTar(repo, diffId),
    blob: undefined,
    // The repo keeps no signatures, and the manifest becomes another one.
    companions: undefined,
  };
}
