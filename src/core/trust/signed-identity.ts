import { badPlace, type JsonPlace, member, textOf } from "../oci/json-place.ts";
import { formatRegistryName, isNamePrefix, parseRegistryName, type RegistryName } from "../oci/registry-name.ts";
import { onlyFilledKeys } from "./only-keys.ts";

/** Which name the signature of an image has to carry. */
export type SignedIdentity =
  | { readonly kind: "exact" }
  /** The same name and tag; only the same repository where the image was asked for by its digest. */
  | { readonly kind: "repository-digest-or-exact" }
  | { readonly kind: "repository" }
  | { readonly kind: "exact-reference"; readonly reference: string }
  | { readonly kind: "exact-repository"; readonly repository: string }
  /** As the second, after `prefix` of the image's name was replaced. */
  | { readonly kind: "remap"; readonly prefix: string; readonly signedPrefix: string };

/**
 * Reads a `signedIdentity`; without one it is the second kind.
 *
 * @throws OsdeployError `bad-format` with the place.
 */
export function parseSignedIdentity(place: JsonPlace | undefined): SignedIdentity {
  if (place === undefined) return { kind: "repository-digest-or-exact" };
  const type = member(place, "type");
  const name = textOf(type);
  const keys = Object.hasOwn(keysOfTypes, name) ? keysOfTypes[name] : undefined;
  if (keys === undefined) throw badPlace(type, `${JSON.stringify(name.slice(0, 80))} is not known`);
  onlyFilledKeys(place, ["type", ...keys]);
  const [first = "", second = ""] = keys.map((key) => textOf(member(place, key)));
  switch (name) {
    case "matchExact":
      return { kind: "exact" };
    case "matchRepository":
      return { kind: "repository" };
    case "exactReference":
      if (readName(first)?.whole === undefined) throw badPlace(place, "has a dockerReference without tag or digest");
      return { kind: "exact-reference", reference: first };
    case "exactRepository":
      if (readName(first) === undefined) throw badPlace(place, "has a dockerRepository that is no name");
      return { kind: "exact-repository", repository: first };
    case "remapIdentity":
      if (![first, second].every(isNamePrefix)) throw badPlace(place, "has a wrong prefix");
      return { kind: "remap", prefix: first, signedPrefix: second };
    default:
      return { kind: "repository-digest-or-exact" };
  }
}

const keysOfTypes: Readonly<Record<string, readonly string[]>> = {
  matchExact: [],
  matchRepoDigestOrExact: [],
  matchRepository: [],
  exactReference: ["dockerReference"],
  exactRepository: ["dockerRepository"],
  remapIdentity: ["prefix", "signedPrefix"],
};

interface SignedName {
  /** Host and repository. */
  readonly repository: string;
  /** With tag and digest; undefined where the signature carries neither, as cosign 2 writes it. */
  readonly whole: string | undefined;
}

/** The name in a signature; undefined when it is none. */
function readName(text: string): SignedName | undefined {
  const name = parseName(text);
  if (name === undefined) return undefined;
  const saysMore = text.includes("@") || text.slice(text.lastIndexOf("/") + 1).includes(":");
  return { repository: repositoryOf(name), whole: saysMore ? formatRegistryName(name) : undefined };
}

function parseName(text: string): RegistryName | undefined {
  try {
    return parseRegistryName(text);
  } catch {
    // It only ever says what is wrong with the name.
    return undefined;
  }
}

function repositoryOf({ host, repository }: RegistryName): string {
  return `${host}/${repository}`;
}

/**
 * Whether a signature for `signed` counts for the image `asked`, the name that was asked for, before mirrors. Undefined
 * for an image without such a name (in a layout): then only the exact kinds can match.
 */
export function matchesIdentity(identity: SignedIdentity, asked: RegistryName | undefined, signed: string): boolean {
  const claim = readName(signed);
  if (claim === undefined) return false;
  // Of a tag and a digest the digest decides what is pulled.
  const image = asked?.digest === undefined ? asked : { ...asked, tag: undefined };
  switch (identity.kind) {
    case "exact-reference":
      return claim.whole !== undefined && claim.whole === readName(identity.reference)?.whole;
    case "exact-repository":
      return claim.repository === readName(identity.repository)?.repository;
    case "exact":
      return image !== undefined && claim.whole === formatRegistryName(image);
    case "repository":
      return image !== undefined && claim.repository === repositoryOf(image);
    case "repository-digest-or-exact":
      return image !== undefined && matchesDefault(image, claim);
    case "remap": {
      const renamed = image === undefined ? undefined : remap(identity, image);
      return renamed !== undefined && matchesDefault(renamed, claim);
    }
  }
}

function matchesDefault(image: RegistryName, claim: SignedName): boolean {
  if (claim.whole === undefined) return false;
  return image.tag === undefined ? claim.repository === repositoryOf(image) : claim.whole === formatRegistryName(image);
}

/** Undefined where the new name is none in full, as `team/os:v1` without a host. */
function remap(
  { prefix, signedPrefix }: { readonly prefix: string; readonly signedPrefix: string },
  image: RegistryName,
): RegistryName | undefined {
  const repository = repositoryOf(image);
  // Of `HOST:PORT` the host alone is no prefix: another port is another registry.
  if (repository !== prefix && !repository.startsWith(`${prefix}/`)) return image;
  const text = signedPrefix + formatRegistryName(image).slice(prefix.length);
  const renamed = parseName(text);
  return renamed !== undefined && formatRegistryName(renamed) === text ? renamed : undefined;
}
