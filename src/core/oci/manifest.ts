import { type ConfigDigest, type LayerDigest, parseConfigDigest, parseLayerDigest } from "../digest/oci-digest.ts";
import { OsdeployError } from "../errors.ts";
import { type Descriptor, parseAnnotations, parseDescriptor } from "./descriptor.ts";
import { arrayOf, badPlace, type JsonPlace, member } from "./json-place.ts";
import { type Compression, documentKind, layerCompression, layerRefusal } from "./media-type.ts";

/** Builders make at most some hundred layers; a manifest of 4 MiB could list twenty thousand. */
const layerLimit = 1000;

/** A layer as the manifest has it. */
export interface LayerDescriptor extends Descriptor<LayerDigest> {
  /** What the media type promises of the bytes. */
  readonly compression: Compression;
}

/** An image manifest: OCI, or Docker schema 2, which has the same members. */
export interface Manifest {
  readonly mediaType: string;
  readonly config: Descriptor<ConfigDigest>;
  /** Lowest first. */
  readonly layers: readonly LayerDescriptor[];
  readonly annotations: ReadonlyMap<string, string>;
}

/**
 * Reads a manifest whose type {@link checkDocumentType} has found out.
 *
 * @throws OsdeployError `bad-format`; `unsupported` for what is no image of a file system (an artifact), and for
 * layers that cannot be unpacked; `limit-exceeded` for more than 1000 layers.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md
 */
export function parseManifest(place: JsonPlace, mediaType: string): Manifest {
  const config = parseDescriptor(member(place, "config"), parseConfigDigest);
  if (documentKind(config.mediaType) !== "config") {
    throw new OsdeployError(
      "unsupported",
      `Cannot use ${place.document} as an image: it is an artifact with a config of type ${JSON.stringify(config.mediaType.slice(0, 160))}`,
    );
  }
  const layers = arrayOf(member(place, "layers"), layerLimit).map(parseLayer);
  if (layers.length === 0) throw badPlace(place, "has no layers");
  return { mediaType, config, layers, annotations: parseAnnotations(place) };
}

function parseLayer(place: JsonPlace): LayerDescriptor {
  const descriptor = parseDescriptor(place, parseLayerDigest);
  const compression = layerCompression(descriptor.mediaType);
  if (compression === undefined) {
    throw new OsdeployError(
      "unsupported",
      `Cannot unpack layer ${descriptor.digest} of ${place.document}: ${layerRefusal(descriptor.mediaType)}`,
    );
  }
  return { ...descriptor, compression };
}
