import { decodeText } from "../core/bytes/utf8.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import type { ConfigDigest, DiffId, LayerDigest, ManifestDigest } from "../core/digest/oci-digest.ts";
import type { Path } from "../linux/linux.ts";
import { withImage } from "./image-tree.ts";
import type { System } from "./system.ts";

export interface InspectImageRequest {
  readonly repo: Path;
  readonly image: string;
}

export interface InspectedImage {
  readonly manifestDigest: ManifestDigest;
  readonly configDigest: ConfigDigest;
  readonly rawImage: ObjectId | null;
  readonly bootImage: ObjectId | null;
  readonly layers: readonly {
    readonly digest: LayerDigest;
    readonly diffId: DiffId;
    readonly mediaType: string;
    readonly sizeBytes: number;
  }[];
  /** The documents as the registry has them, parsed. */
  readonly manifest: unknown;
  readonly config: unknown;
}

/** Everything that is known of one image in the repo. */
export async function inspectImage(system: System, request: InspectImageRequest): Promise<InspectedImage> {
  return await withImage(system, request, (_repo, image) => ({
    manifestDigest: image.manifestDigest,
    configDigest: image.manifest.config.digest,
    rawImage: image.rawImage ?? null,
    bootImage: image.bootImage ?? null,
    layers: image.layers.map(({ digest, diffId, mediaType, sizeBytes }) => ({ digest, diffId, mediaType, sizeBytes })),
    manifest: parseJson(image.manifestBytes),
    config: parseJson(image.configBytes),
  }));
}

/** Both documents were read by strict parsers before; this only keeps what those do not look at. */
function parseJson(bytes: Uint8Array): unknown {
  return JSON.parse(decodeText(bytes));
}
