import { type DiffId, parseDiffId } from "../digest/oci-digest.ts";
import { OsdeployError } from "../errors.ts";
import { parseDocument } from "./json.ts";
import {
  arrayOf,
  badPlace,
  digestOf,
  type JsonPlace,
  member,
  optional,
  optionalText,
  textsByKey,
} from "./json-place.ts";
import { formatPlatform, type Platform, parsePlatformFields } from "./platform.ts";

/** As many as a manifest may have layers. */
const diffIdLimit = 1000;

/**
 * What osdeploy reads of an image's config. How a container would be started is none of its business.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md
 */
export interface ImageConfig {
  /** Architecture and system are empty text where the config is silent, which hand-made images often are. */
  readonly platform: Platform;
  /** Lowest layer first. */
  readonly diffIds: readonly DiffId[];
  /** For example `org.opencontainers.image.version`. */
  readonly labels: ReadonlyMap<string, string>;
  /** When the image was built, as RFC 3339 text, unchecked. */
  readonly created: string | undefined;
}

/**
 * Reads an image config of OCI or Docker.
 *
 * @throws OsdeployError `bad-format` or `limit-exceeded`.
 */
export function parseImageConfig(bytes: Uint8Array, document: string): ImageConfig {
  const place = parseDocument(bytes, document);
  const rootfs = member(place, "rootfs");
  const type = member(rootfs, "type");
  if (type.value !== "layers") throw badPlace(type, 'is not "layers"');
  return {
    platform: parsePlatformFields(place),
    diffIds: arrayOf(member(rootfs, "diff_ids"), diffIdLimit).map((diffId) => digestOf(diffId, parseDiffId)),
    labels: parseLabels(place),
    created: optionalText(place, "created"),
  };
}

function parseLabels(place: JsonPlace): ReadonlyMap<string, string> {
  const config = optional(place, "config");
  const labels = config === undefined ? undefined : optional(config, "Labels");
  return labels === undefined ? new Map() : textsByKey(labels);
}

/**
 * Pairs each of `layers` with its diff id. Empty steps of the history are no layers and count on neither side.
 *
 * @throws OsdeployError `bad-format` when the counts differ.
 */
export function pairLayers<Layer>(
  layers: readonly Layer[],
  config: ImageConfig,
  document: string,
): readonly (Layer & { readonly diffId: DiffId })[] {
  const { diffIds } = config;
  if (layers.length !== diffIds.length) {
    throw new OsdeployError(
      "bad-format",
      `Cannot use ${document}: the manifest has ${layers.length} layers, but the config ${diffIds.length} diff ids`,
    );
  }
  return diffIds.map((diffId, index) => ({ ...(layers[index] as Layer), diffId }));
}

/**
 * Refuses an image that says it is for other machines. An operating system for another architecture would not boot,
 * and the config is what its builder says of it, whatever an index says.
 *
 * @throws OsdeployError `unsupported`.
 */
export function checkImagePlatform(config: ImageConfig, wanted: Platform, document: string): void {
  const { os, architecture } = config.platform;
  if ((os === "" || os === wanted.os) && (architecture === "" || architecture === wanted.architecture)) return;
  throw new OsdeployError(
    "unsupported",
    `Cannot use ${document}: it is for ${formatPlatform(config.platform)}, not for ${formatPlatform(wanted)}`,
  );
}
