/** How the bytes of a layer are compressed, as its media type says. The bytes themselves may disagree, and are believed. */
export type Compression = "none" | "gzip" | "zstd";

/** What a media type says a document is, as far as it matters here. */
export type DocumentKind = "manifest" | "index" | "config";

export const ociManifestType = "application/vnd.oci.image.manifest.v1+json";
export const ociIndexType = "application/vnd.oci.image.index.v1+json";
export const ociConfigType = "application/vnd.oci.image.config.v1+json";
const dockerManifestType = "application/vnd.docker.distribution.manifest.v2+json";
const dockerListType = "application/vnd.docker.distribution.manifest.list.v2+json";
const dockerConfigType = "application/vnd.docker.container.image.v1+json";
export const ociLayerType = "application/vnd.oci.image.layer.v1.tar";

/** What osdeploy asks a registry for, best first. */
export const acceptedDocumentTypes: readonly string[] = [
  ociIndexType,
  ociManifestType,
  dockerListType,
  dockerManifestType,
];

const documents: ReadonlyMap<string, DocumentKind> = new Map<string, DocumentKind>([
  [ociManifestType, "manifest"],
  [dockerManifestType, "manifest"],
  [ociIndexType, "index"],
  [dockerListType, "index"],
  [ociConfigType, "config"],
  [dockerConfigType, "config"],
]);

const layers: ReadonlyMap<string, Compression> = new Map<string, Compression>([
  [ociLayerType, "none"],
  [`${ociLayerType}+gzip`, "gzip"],
  [`${ociLayerType}+zstd`, "zstd"],
  // Marked as not to be pushed elsewhere, which says nothing against reading them where they are.
  ["application/vnd.oci.image.layer.nondistributable.v1.tar", "none"],
  ["application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "gzip"],
  ["application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "zstd"],
  ["application/vnd.docker.image.rootfs.diff.tar", "none"],
  ["application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip"],
  ["application/vnd.docker.image.rootfs.diff.tar.zstd", "zstd"],
]);

/** The kind of document a media type stands for; undefined for all that is no part of an image. */
export function documentKind(mediaType: string): DocumentKind | undefined {
  return documents.get(mediaType);
}

/** How a layer of this media type is compressed; undefined when it is no layer that can be unpacked. */
export function layerCompression(mediaType: string): Compression | undefined {
  return layers.get(mediaType);
}

/** Why a layer of this media type cannot be unpacked: a clause for an error message. */
export function layerRefusal(mediaType: string): string {
  if (mediaType.endsWith("+encrypted")) return "it is encrypted";
  if (mediaType.startsWith("application/vnd.docker.image.rootfs.foreign.")) {
    return "it is a foreign layer, which no registry holds";
  }
  return `its media type ${JSON.stringify(mediaType.slice(0, 200))} is unknown`;
}
