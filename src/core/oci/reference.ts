import { isPlainArgument } from "../bytes/argument-text.ts";
import { type ByteString, fromText, toText } from "../bytes/byte-string.ts";
import { type ManifestDigest, parseManifestDigest } from "../digest/oci-digest.ts";
import { OsdeployError } from "../errors.ts";
import {
  formatRegistryName,
  formatShortName,
  parseRegistryName,
  parseShortName,
  type RegistryName,
  type ShortName,
} from "./registry-name.ts";

/** Where an image is, as a person writes it; the transports are those of podman and skopeo, and `rootfs:`. */
export type ImageReference =
  | RegistryReference
  | ShortReference
  | LayoutReference
  | OciArchiveReference
  | DockerArchiveReference
  | RootDirectoryReference;

/** `docker://HOST/REPOSITORY[:TAG][@DIGEST]`, or the same without `docker://`. */
export interface RegistryReference extends RegistryName {
  readonly kind: "registry";
}

/** `os`, `team/os:v1`: the registry is left out, and only the machine's configuration knows which one is meant. */
export interface ShortReference extends ShortName {
  readonly kind: "short-name";
}

/** `oci:DIR[:TAG][@DIGEST]`: an OCI image layout in a directory. */
export interface LayoutReference {
  readonly kind: "oci-layout";
  readonly path: ByteString;
  readonly choice: ImageChoice;
}

/** `oci-archive:FILE[:TAG][@DIGEST]`: an OCI image layout in a tar. */
export interface OciArchiveReference {
  readonly kind: "oci-archive";
  readonly path: ByteString;
  readonly choice: ImageChoice;
}

/** `docker-archive:FILE[:NAME]`: what `docker save` and `podman save` write. The tag of `choice` is a full name. */
export interface DockerArchiveReference {
  readonly kind: "docker-archive";
  readonly path: ByteString;
  readonly choice: ArchiveChoice;
}

/** `rootfs:DIR`: a directory that holds a root file system, without any image around it. */
export interface RootDirectoryReference {
  readonly kind: "root-directory";
  readonly path: ByteString;
}

/** Which of the images in one file or directory: the only one, that of a tag, the n-th (from 0). */
export type ArchiveChoice =
  | { readonly kind: "only" }
  | { readonly kind: "tag"; readonly tag: string }
  | { readonly kind: "position"; readonly position: number };

/** In a layout, images can be chosen by their digest, too (`oci:DIR[:TAG]@sha256:…`): it decides, the tag is for people. */
export type ImageChoice =
  | ArchiveChoice
  | { readonly kind: "digest"; readonly digest: ManifestDigest; readonly tag: string | undefined };

type Parse = (rest: string, text: string) => ImageReference;

const parsers: ReadonlyMap<string, Parse> = new Map<string, Parse>([
  ["docker", parseDocker],
  ["oci", (rest, text) => ({ kind: "oci-layout", ...splitLayoutPath(rest, text) })],
  ["oci-archive", (rest, text) => ({ kind: "oci-archive", ...splitLayoutPath(rest, text) })],
  ["docker-archive", (rest, text) => ({ kind: "docker-archive", ...splitPath(rest, text, archiveName) })],
  ["rootfs", (rest, text) => ({ kind: "root-directory", path: parsePath(rest, text) })],
]);

/** All transports, as they are written in front of a name. */
function knownTransports(): string {
  const written = [...parsers.keys()].map((transport) => (transport === "docker" ? "docker://" : `${transport}:`));
  return `${written.slice(0, -1).join(", ")} and ${written.at(-1)}`;
}

/** Prefixes that other tools know, and what to do instead. */
const foreign: ReadonlyMap<string, string> = new Map([
  ["containers-storage", 'osdeploy does not read it; copy the image with "skopeo copy" to oci:DIR first'],
  ["docker-daemon", 'osdeploy does not talk to it; use "docker save" and docker-archive:FILE'],
  ["dir", 'this layout is not supported; copy the image with "skopeo copy" to oci:DIR first'],
  ["ostree", "ostree commits are not supported; use the OCI image"],
  ["ostree-image-signed", "leave out this prefix"],
  ["ostree-remote-image", "leave out this prefix"],
  ["ostree-unverified-image", "leave out this prefix"],
  ["ostree-unverified-registry", "write docker:// instead"],
  ["http", "leave out http://"],
  ["https", "leave out https://"],
]);

/**
 * Reads an image reference as podman and skopeo write them. A name without a transport is one in a registry:
 * `localhost/os` and `host:5000/os` name their host, `os` is a short name. Behind `docker://` it never is: there `os` is
 * `docker.io/library/os:latest`.
 *
 * Where a name has a tag and a digest, as podman accepts, the digest decides and the tag is kept for people. As in
 * skopeo, the first colon after the transport ends a path.
 *
 * @throws OsdeployError `usage` when it cannot be read, `unsupported` for transports osdeploy does not know.
 * @see https://github.com/containers/container-libs/blob/main/image/docs/containers-transports.5.md
 */
export function parseImageReference(text: string): ImageReference {
  const colon = text.indexOf(":");
  const transport = text.slice(0, Math.max(colon, 0));
  const advice = foreign.get(transport);
  if (advice !== undefined) {
    throw new OsdeployError("unsupported", `Cannot use the transport "${transport}" of ${quote(text)}: ${advice}`);
  }
  const parse = parsers.get(transport);
  if (parse !== undefined) return parse(text.slice(colon + 1), text);
  if (/^(\/|~|\.\.?(\/|$))/.test(text)) {
    throw wrong(text, `it looks like a path; write oci:${text.slice(0, 100)} or another transport in front of it`);
  }
  if (text === "") throw wrong(text, "it is empty");
  // No tag holds a colon or a slash; only a port may stand before one.
  const unknown = /^([a-z][a-z-]*):(?![0-9]+\/)[^@]*[:/]/.exec(text)?.[1];
  if (unknown !== undefined) throw wrong(text, `${quote(unknown)} is no transport: there are ${knownTransports()}`);
  const short = parseShortName(text);
  if (short !== undefined) return { kind: "short-name", ...short };
  return { kind: "registry", ...parseRegistryName(text) };
}

/** The canonical text: transport, full name, tag and digest. {@link parseImageReference} reads it back to an equal value. */
export function formatImageReference(reference: ImageReference): string {
  switch (reference.kind) {
    case "registry":
      return `docker://${formatRegistryName(reference)}`;
    case "short-name":
      return formatShortName(reference);
    case "oci-layout":
      return `oci:${toText(reference.path)}${formatChoice(reference.choice)}`;
    case "oci-archive":
    case "docker-archive":
      return `${reference.kind}:${toText(reference.path)}${formatChoice(reference.choice)}`;
    case "root-directory":
      return `rootfs:${toText(reference.path)}`;
  }
}

function formatChoice(choice: ImageChoice): string {
  switch (choice.kind) {
    case "only":
      return "";
    case "tag":
      return `:${choice.tag}`;
    case "position":
      return `:@${choice.position}`;
    case "digest":
      return `${choice.tag === undefined ? "" : `:${choice.tag}`}@${choice.digest}`;
  }
}

function parseDocker(rest: string, text: string): ImageReference {
  if (!rest.startsWith("//")) throw wrong(text, `write docker://${rest.slice(0, 100)}`);
  if (rest === "//") throw wrong(text, "the name is missing");
  return { kind: "registry", ...parseRegistryName(rest.slice(2)) };
}

function splitLayoutPath(rest: string, text: string): { readonly path: ByteString; readonly choice: ImageChoice } {
  const [, named = rest, digest] = /^(.*)@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/s.exec(rest) ?? [];
  const { path, choice } = splitPath(named, text, layoutTag);
  if (digest === undefined) return { path, choice };
  if (choice.kind === "position") throw wrong(text, "an image has a position or a digest, not both");
  const tag = choice.kind === "tag" ? choice.tag : undefined;
  return { path, choice: { kind: "digest", digest: parseManifestDigest(digest), tag } };
}

function splitPath(
  rest: string,
  text: string,
  tagOf: (text: string) => string,
): { readonly path: ByteString; readonly choice: ArchiveChoice } {
  const colon = rest.indexOf(":");
  if (colon < 0) return { path: parsePath(rest, text), choice: { kind: "only" } };
  return { path: parsePath(rest.slice(0, colon), text), choice: parseChoice(rest.slice(colon + 1), text, tagOf) };
}

function parseChoice(text: string, whole: string, tagOf: (text: string) => string): ArchiveChoice {
  if (text === "") return { kind: "only" };
  if (!text.startsWith("@")) return { kind: "tag", tag: tagOf(text) };
  if (!/^@(0|[1-9][0-9]{0,5})$/.test(text)) throw wrong(whole, "after :@ stands the position of an image, from 0");
  return { kind: "position", position: Number(text.slice(1)) };
}

/** @see https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md (org.opencontainers.image.ref.name) */
const refName = /^[A-Za-z0-9]+(([-._:@+]|--)[A-Za-z0-9]+)*(\/[A-Za-z0-9]+(([-._:@+]|--)[A-Za-z0-9]+)*)*$/;

function layoutTag(text: string): string {
  if (text.length > 255 || !refName.test(text))
    throw wrong(text, "a tag is letters and digits, with -._:@+/ in between");
  return text;
}

/** docker-archives know images by their full names, so a short one has to become a full one. */
function archiveName(text: string): string {
  const name = parseRegistryName(text);
  if (name.digest !== undefined) throw wrong(text, "images in a docker-archive have names, not digests");
  return formatRegistryName(name);
}

function parsePath(path: string, text: string): ByteString {
  if (path === "") throw wrong(text, "the path is missing");
  if (path.includes("\0")) throw wrong(text, "a path cannot hold a NUL");
  if (!isPlainArgument(path)) throw wrong(text, "the path is no UTF-8, and references are written down as text");
  return fromText(path);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}

function wrong(text: string, state: string): OsdeployError {
  return new OsdeployError("usage", `Cannot use ${quote(text)} as an image reference: ${state}`);
}
