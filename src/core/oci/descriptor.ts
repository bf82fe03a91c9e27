import type { BlobDigest } from "../digest/oci-digest.ts";
import { digestOf, type JsonPlace, member, optional, safeSizeOf, textOf, textsByKey } from "./json-place.ts";

/**
 * What one document says of a blob: what it is, how many bytes, and their digest.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md
 */
export interface Descriptor<Digest extends BlobDigest = BlobDigest> {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly annotations: ReadonlyMap<string, string>;
}

/** Reads a descriptor. Inline data and download addresses are passed over: both are the attacker's to choose. */
export function parseDescriptor<Digest extends BlobDigest>(
  place: JsonPlace,
  parseDigest: (text: string) => Digest,
): Descriptor<Digest> {
  return {
    mediaType: textOf(member(place, "mediaType")),
    digest: digestOf(member(place, "digest"), parseDigest),
    sizeBytes: safeSizeOf(member(place, "size")),
    annotations: parseAnnotations(place),
  };
}

/** The `annotations` of a document or descriptor; no annotations where there are none. */
export function parseAnnotations(place: JsonPlace): ReadonlyMap<string, string> {
  const annotations = optional(place, "annotations");
  return annotations === undefined ? new Map() : textsByKey(annotations);
}
