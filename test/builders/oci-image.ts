import type { Compression } from "../../src/core/oci/media-type.ts";
import { type BuiltLayer, buildLayer, type LayerFile, sha256 } from "./oci-layer.ts";

/** An image as bytes: all of its blobs, by digest. */
export interface BuiltImage {
  readonly manifest: Uint8Array;
  readonly manifestDigest: string;
  readonly manifestType: string;
  readonly config: Uint8Array;
  readonly configDigest: string;
  readonly layers: readonly BuiltLayer[];
  /** Digest to bytes: manifest, config, layers; with an index around it, that too. */
  readonly blobs: ReadonlyMap<string, Uint8Array>;
  readonly platform: { readonly os: string; readonly architecture: string; readonly variant?: string };
}

export interface ImageOptions {
  /** Entries of each layer, lowest first. */
  readonly layers: readonly (readonly LayerFile[])[];
  readonly compression?: Compression;
  readonly architecture?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Docker schema 2 media types instead of OCI's. */
  readonly docker?: boolean;
}

/** Several images under one index, by platform. */
export interface BuiltIndex {
  readonly index: Uint8Array;
  readonly indexDigest: string;
  readonly indexType: string;
  readonly blobs: ReadonlyMap<string, Uint8Array>;
}

/** Builds an image of linux/amd64, unless said otherwise. Equal options give equal bytes. */
export async function buildImage(options: ImageOptions): Promise<BuiltImage> {
  const layers = await Promise.all(options.layers.map((files) => buildLayer(files, options.compression)));
  const platform = { os: "linux", architecture: options.architecture ?? "amd64" };
  const config = json({
    created: "2024-01-02T03:04:05Z",
    ...platform,
    config: { Labels: options.labels ?? {} },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
    history: [{ created_by: "layers" }, { created_by: "ENV a=b", empty_layer: true }],
  });
  const types = options.docker === true ? dockerTypes : ociTypes;
  const manifest = json({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, digest: sha256(config), size: config.length },
    layers: layers.map((layer) => ({
      mediaType: types.layer(layer.mediaType),
      digest: layer.digest,
      size: layer.blob.length,
    })),
    ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
  });
  const blobs = new Map([manifest, config, ...layers.map((layer) => layer.blob)].map((blob) => [sha256(blob), blob]));
  return {
    ...{ manifest, manifestDigest: sha256(manifest), manifestType: types.manifest },
    ...{ config, configDigest: sha256(config), layers, blobs, platform },
  };
}

/** An index of these images, with an attestation after each, as BuildKit writes them. */
export function buildIndex(
  images: readonly BuiltImage[],
  annotationsOf: (image: BuiltImage) => Readonly<Record<string, string>> | undefined = () => undefined,
): BuiltIndex {
  const attestation = buildAttestation();
  const index = json({
    schemaVersion: 2,
    mediaType: ociTypes.index,
    manifests: images.flatMap((image) => [
      { ...descriptorOf(image), platform: image.platform, annotations: annotationsOf(image) },
      {
        ...{ mediaType: ociTypes.manifest, digest: sha256(attestation.manifest), size: attestation.manifest.length },
        platform: { os: "unknown", architecture: "unknown" },
        annotations: { "vnd.docker.reference.type": "attestation-manifest" },
      },
    ]),
  });
  const blobs = [index, attestation.manifest, ...attestation.blobs].map((bytes) => [sha256(bytes), bytes] as const);
  return {
    ...{ index, indexDigest: sha256(index), indexType: ociTypes.index },
    blobs: new Map([...images.flatMap((image) => [...image.blobs]), ...blobs]),
  };
}

function buildAttestation(): { readonly manifest: Uint8Array; readonly blobs: readonly Uint8Array[] } {
  const statement = json({ _type: "https://in-toto.io/Statement/v0.1" });
  const config = json({
    os: "unknown",
    architecture: "unknown",
    rootfs: { type: "layers", diff_ids: [sha256(statement)] },
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: ociTypes.manifest,
    config: { mediaType: ociTypes.config, digest: sha256(config), size: config.length },
    layers: [{ mediaType: "application/vnd.in-toto+json", digest: sha256(statement), size: statement.length }],
  });
  return { manifest, blobs: [config, statement] };
}

/** What a document that names `image` says of it. */
export function descriptorOf(image: BuiltImage): { mediaType: string; digest: string; size: number } {
  return { mediaType: image.manifestType, digest: image.manifestDigest, size: image.manifest.length };
}

/** Compact JSON as bytes. */
export function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

const ociTypes = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: (mediaType: string) => mediaType,
};

const dockerTypes = {
  manifest: "application/vnd.docker.distribution.manifest.v2+json",
  config: "application/vnd.docker.container.image.v1+json",
  layer: (mediaType: string) =>
    mediaType.replace("oci.image.layer.v1.tar", "docker.image.rootfs.diff.tar").replace("+", "."),
};
