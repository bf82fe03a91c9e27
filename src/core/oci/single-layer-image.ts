import { encodeText } from "../bytes/utf8.ts";
import { sha256Of } from "../digest/blob-hasher.ts";
import {
  type ConfigDigest,
  type DiffId,
  type ManifestDigest,
  parseConfigDigest,
  parseManifestDigest,
} from "../digest/oci-digest.ts";
import { ociConfigType, ociLayerType, ociManifestType } from "./media-type.ts";
import type { Platform } from "./platform.ts";

/** The documents of an image that was made here. */
export interface MadeDocuments {
  readonly config: { readonly mediaType: string; readonly digest: ConfigDigest; readonly bytes: Uint8Array };
  readonly manifest: { readonly mediaType: string; readonly digest: ManifestDigest; readonly bytes: Uint8Array };
}

/**
 * The config and the manifest of an image of one uncompressed layer, for a tree that came without any.
 *
 * They say nothing but what they must, not even a time, so the same layer for the same platform is always the same image.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md
 */
export function singleLayerImage(
  layer: { readonly diffId: DiffId; readonly sizeBytes: number },
  platform: Platform,
): MadeDocuments {
  const { os, architecture, variant } = platform;
  const config = jsonBytes({
    architecture,
    ...(variant === undefined ? {} : { variant }),
    os,
    rootfs: { type: "layers", diff_ids: [layer.diffId] },
  });
  const configDigest = parseConfigDigest(sha256Of(config));
  const manifest = jsonBytes({
    schemaVersion: 2,
    mediaType: ociManifestType,
    config: { mediaType: ociConfigType, digest: configDigest, size: config.length },
    // Uncompressed, a layer and its tar have the same digest.
    layers: [{ mediaType: ociLayerType, digest: layer.diffId, size: layer.sizeBytes }],
  });
  return {
    config: { mediaType: ociConfigType, digest: configDigest, bytes: config },
    manifest: { mediaType: ociManifestType, digest: parseManifestDigest(sha256Of(manifest)), bytes: manifest },
  };
}

function jsonBytes(value: unknown): Uint8Array {
  return encodeText(JSON.stringify(value));
}
