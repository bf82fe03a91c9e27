import { encodeText } from "../bytes/utf8.ts";
import { sha256Of } from "../digest/blob-hasher.ts";
import { type LayerDigest, type ManifestDigest, parseManifestDigest } from "../digest/oci-digest.ts";
import { parseDocument } from "./json.ts";
import { arrayOf, entriesOf, member, optional } from "./json-place.ts";
import { type Compression, ociConfigType, ociLayerType, ociManifestType } from "./media-type.ts";

/** A layer whose tar was compressed anew; undefined in a list of them for one that stays as it was. */
export interface RepackedLayer {
  readonly digest: LayerDigest;
  readonly sizeBytes: number;
  readonly compression: Compression;
  /** Of these bytes: where a zstd:chunked layer has its tables. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** A manifest made of another one. */
export interface RepackedManifest {
  readonly mediaType: string;
  readonly digest: ManifestDigest;
  readonly bytes: Uint8Array;
}

const layerLimit = 1000;

/**
 * The manifest `bytes` with other layers of the same tars: one of OCI, in a fixed order of members. The config stays byte
 * for byte, and so does every annotation but those of a layer for which `isOfBytes` holds.
 *
 * @throws OsdeployError `bad-format` when `bytes` are no manifest with as many layers.
 */
export function repackManifest(
  bytes: Uint8Array,
  layers: readonly (RepackedLayer | undefined)[],
  { document, isOfBytes }: { readonly document: string; readonly isOfBytes: (annotation: string) => boolean },
): RepackedManifest {
  const place = parseDocument(bytes, document);
  const kept = (key: string) => {
    const found = optional(place, key);
    return found === undefined ? {} : { [key]: found.value };
  };
  const config = fieldsOf(member(place, "config"));
  const written = {
    schemaVersion: 2,
    mediaType: ociManifestType,
    ...kept("artifactType"),
    config: { ...config, mediaType: ociConfigType },
    layers: arrayOf(member(place, "layers"), layerLimit).map((layer, index) => {
      const repacked = layers[index];
      return repacked === undefined ? asOci(layer) : descriptorOf(layer, repacked, isOfBytes);
    }),
    ...kept("subject"),
    ...kept("annotations"),
  };
  const made = encodeText(JSON.stringify(written));
  return { mediaType: ociManifestType, digest: parseManifestDigest(sha256Of(made)), bytes: made };
}

type Place = ReturnType<typeof parseDocument>;

function fieldsOf(place: Place): Readonly<Record<string, unknown>> {
  return Object.fromEntries(entriesOf(place).map(([key, { value }]) => [key, value]));
}

/** Docker's names for what an OCI manifest may hold; its own stay, also those that are not for everybody. */
const dockerLayers: Readonly<Record<string, string>> = {
  "application/vnd.docker.image.rootfs.diff.tar": ociLayerType,
  "application/vnd.docker.image.rootfs.diff.tar.gzip": `${ociLayerType}+gzip`,
  "application/vnd.docker.image.rootfs.diff.tar.zstd": `${ociLayerType}+zstd`,
};

function asOci(layer: Place): Readonly<Record<string, unknown>> {
  const fields = fieldsOf(layer);
  const { mediaType } = fields;
  return { ...fields, mediaType: dockerLayers[String(mediaType)] ?? mediaType };
}

function descriptorOf(
  layer: Place,
  repacked: RepackedLayer,
  isOfBytes: (annotation: string) => boolean,
): Readonly<Record<string, unknown>> {
  const before = optional(layer, "annotations");
  const others = before === undefined ? [] : entriesOf(before).filter(([key]) => !isOfBytes(key));
  const annotations = Object.fromEntries([
    ...others.map(([key, { value }]) => [key, value] as const),
    ...Object.entries(repacked.annotations),
  ]);
  const suffix = repacked.compression === "none" ? "" : `+${repacked.compression}`;
  return {
    mediaType: `${ociLayerType}${suffix}`,
    digest: repacked.digest,
    size: repacked.sizeBytes,
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
}
