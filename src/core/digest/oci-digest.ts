import { isHex } from "../bytes/hex.ts";
import { OsdeployError } from "../errors.ts";

/**
 * `sha256:` or `sha512:` and lower-case hex, as OCI writes digests; the role says of which bytes.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests
 */
type OciDigest<Role extends string> = string & { readonly __role: Role };

/** Digest of a manifest's or an index's bytes. */
export type ManifestDigest = OciDigest<"ManifestDigest">;
/** Digest of an image config's bytes. */
export type ConfigDigest = OciDigest<"ConfigDigest">;
/** Digest of a layer as it lies in the registry, that is, compressed. */
export type LayerDigest = OciDigest<"LayerDigest">;
/** Digest of a layer's uncompressed tar. */
export type DiffId = OciDigest<"DiffId">;
/** Any of the digests that name a blob. */
export type BlobDigest = ManifestDigest | ConfigDigest | LayerDigest;

/** Bytes of a digest, by its algorithm. */
export const digestLengths = { sha256: 32, sha512: 64 } as const;
const lengths: Readonly<Record<string, number>> = digestLengths;

function parse<Role extends string>(text: string, what: string): OciDigest<Role> {
  const colon = text.indexOf(":");
  const length = lengths[text.slice(0, Math.max(colon, 0))];
  if (length === undefined || !isHex(text.slice(colon + 1), length)) {
    throw new OsdeployError(
      "bad-format",
      `Cannot use "${text.slice(0, 160)}" as a ${what}: it is not sha256: or sha512: and lower-case hex`,
    );
  }
  return text as OciDigest<Role>;
}

/** @throws OsdeployError `bad-format` when `text` is not a digest in OCI's form. */
export function parseManifestDigest(text: string): ManifestDigest {
  return parse(text, "manifest digest");
}

/** @throws OsdeployError `bad-format` when `text` is not a digest in OCI's form. */
export function parseConfigDigest(text: string): ConfigDigest {
  return parse(text, "config digest");
}

/** @throws OsdeployError `bad-format` when `text` is not a digest in OCI's form. */
export function parseLayerDigest(text: string): LayerDigest {
  return parse(text, "layer digest");
}

/** @throws OsdeployError `bad-format` when `text` is not a digest in OCI's form. */
export function parseDiffId(text: string): DiffId {
  return parse(text, "diff id");
}

/** The algorithm and the hex of a digest that a parser has made. */
export function splitDigest(digest: BlobDigest | DiffId): {
  readonly algorithm: "sha256" | "sha512";
  readonly hex: string;
} {
  const colon = digest.indexOf(":");
  return { algorithm: digest.slice(0, colon) as "sha256" | "sha512", hex: digest.slice(colon + 1) };
}
