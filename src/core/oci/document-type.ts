import { badPlace, type JsonPlace, member, optional, optionalText } from "./json-place.ts";
import { type DocumentKind, documentKind, ociIndexType, ociManifestType } from "./media-type.ts";

/**
 * What a manifest or index says it is, checked against what it was announced as (a descriptor's or a registry's media
 * type) and against its own shape. A document that two readers could take for two things is refused.
 *
 * Registries send all sorts of content types, so an `announced` type that is none of an image's is passed over.
 *
 * @throws OsdeployError `bad-format`.
 * @see https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh
 */
export function checkDocumentType(
  place: JsonPlace,
  announced: string | undefined,
): { readonly kind: "manifest" | "index"; readonly mediaType: string } {
  checkSchemaVersion(place);
  const own = optionalText(place, "mediaType");
  const known = announced !== undefined && documentKind(announced) !== undefined ? announced : undefined;
  if (own !== undefined && known !== undefined && own !== known) {
    throw badPlace(place, `says it is ${quote(own)}, but was announced as ${quote(known)}`);
  }
  const shape = shapeOf(place);
  const mediaType = own ?? known ?? (shape === "index" ? ociIndexType : ociManifestType);
  if (documentKind(mediaType) !== shape)
    throw badPlace(place, `says it is ${quote(mediaType)}, but has the form of ${article(shape)}`);
  return { kind: shape, mediaType };
}

function checkSchemaVersion(place: JsonPlace): void {
  const version = member(place, "schemaVersion");
  if (version.value === 1) throw badPlace(version, "is 1: this old form is not supported");
  if (version.value !== 2) throw badPlace(version, "is not 2");
}

function shapeOf(place: JsonPlace): "manifest" | "index" {
  const isIndex = optional(place, "manifests") !== undefined;
  const isManifest = optional(place, "config") !== undefined || optional(place, "layers") !== undefined;
  if (isIndex && isManifest) throw badPlace(place, "has the members of a manifest and of an index");
  return isIndex ? "index" : "manifest";
}

function article(kind: DocumentKind): string {
  return kind === "index" ? "an index" : `a ${kind}`;
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 160));
}
