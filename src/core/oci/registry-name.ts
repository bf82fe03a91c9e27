import { type ManifestDigest, parseManifestDigest } from "../digest/oci-digest.ts";
import { OsdeployError } from "../errors.ts";

/** The name of an image in a registry, complete: short forms are already expanded. */
export interface RegistryName {
  /** Host, with `:PORT` where one is given; lower case is not forced, as podman does not. `docker.io` for Docker Hub. */
  readonly host: string;
  /** The path in the registry, for example `library/debian`. */
  readonly repository: string;
  /** At least one of tag and digest is there; the digest decides. */
  readonly tag: string | undefined;
  readonly digest: ManifestDigest | undefined;
}

const hostForm =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?$/;
const componentForm = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagForm = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** As the reference grammar limits it; registries refuse longer names. */
const repositoryLimit = 255;

/**
 * Reads `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]` with Docker's defaults: host `docker.io`, there `library/`, tag
 * `latest` where neither tag nor digest is given. The first component is a host when it has a dot or a colon or an
 * upper-case letter, or is `localhost`.
 *
 * @throws OsdeployError `usage` with what is wrong and what to write instead.
 * @see https://github.com/distribution/reference/blob/main/reference.go
 */
export function parseRegistryName(text: string): RegistryName {
  checkBareName(text);
  const { tag, digest, rest } = splitName(text);
  const { host, repository } = expand(rest);
  checkHost(host, text);
  checkRepository(repository, text);
  return { host, repository, ...defaultTag(tag, digest) };
}

type Choice = Pick<RegistryName, "tag" | "digest">;

function splitName(text: string): Choice & { readonly rest: string } {
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : parseDigest(text.slice(at + 1), text);
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const tag = colon < 0 ? undefined : parseTag(named.slice(colon + 1), text);
  return { tag, digest, rest: colon < 0 ? named : named.slice(0, colon) };
}

function defaultTag(tag: string | undefined, digest: ManifestDigest | undefined): Choice {
  return { tag: tag ?? (digest === undefined ? "latest" : undefined), digest };
}

/** A name whose registry is left out: the machine's configuration says which one is meant. */
export type ShortName = Omit<RegistryName, "host">;

/**
 * Reads `REPOSITORY[:TAG][@DIGEST]`, tag `latest` where neither tag nor digest is given; undefined when the name says its
 * registry.
 *
 * @throws OsdeployError `usage`, as {@link parseRegistryName}.
 */
export function parseShortName(text: string): ShortName | undefined {
  const { tag, digest, rest } = splitName(text);
  if (hostOf(rest) !== undefined) return undefined;
  checkBareName(text);
  checkRepository(rest, text);
  return { repository: rest, ...defaultTag(tag, digest) };
}

/** `REPOSITORY[:TAG][@DIGEST]`. */
export function formatShortName(name: ShortName): string {
  const tag = name.tag === undefined ? "" : `:${name.tag}`;
  const digest = name.digest === undefined ? "" : `@${name.digest}`;
  return `${name.repository}${tag}${digest}`;
}

/** `HOST/REPOSITORY[:TAG][@DIGEST]`. */
export function formatRegistryName(name: RegistryName): string {
  return `${name.host}/${formatShortName(name)}`;
}

/** Whether `text` is a host with or without a port, or begins a name as one in full: no tag, no digest, no slash at the end. */
export function isNamePrefix(text: string): boolean {
  const [host = "", ...components] = text.split("/");
  return hostForm.test(host) && components.every((component) => componentForm.test(component));
}

/** The first component, when it is a host. */
function hostOf(name: string): string | undefined {
  const first = name.slice(0, Math.max(name.indexOf("/"), 0));
  return first === "localhost" || /[.:A-Z]/.test(first) ? first : undefined;
}

function expand(name: string): { readonly host: string; readonly repository: string } {
  const first = hostOf(name);
  if (first === undefined) return { host: "docker.io", repository: inDockerHub(name) };
  const repository = name.slice(first.length + 1);
  // The old name of Docker Hub still stands in many scripts; two names for one registry would be two origins.
  const isHub = first === "docker.io" || first === "index.docker.io";
  return isHub ? { host: "docker.io", repository: inDockerHub(repository) } : { host: first, repository };
}

function inDockerHub(repository: string): string {
  return repository.includes("/") ? repository : `library/${repository}`;
}

/** Whether `text` is a `HOST[:PORT]` that an image can be asked for at. */
export function isRegistryHost(text: string): boolean {
  const port = /:([0-9]+)$/.exec(text)?.[1];
  return hostForm.test(text) && Number(port ?? 1) <= 65535;
}

function checkHost(host: string, text: string): void {
  if (!isRegistryHost(host)) throw wrong(text, `${quote(host)} is not a host`);
}

/** Alone, 64 hex digits are the id of an image to other tools; with anything more they are a name. */
function checkBareName(text: string): void {
  if (!/^[0-9a-f]{64}$/.test(text)) return;
  throw wrong(text, "64 hex digits are no name; a digest is written NAME@sha256:DIGITS");
}

function checkRepository(repository: string, text: string): void {
  if (repository.length > repositoryLimit) throw wrong(text, `the name is longer than ${repositoryLimit} characters`);
  if (repository.split("/").every((component) => componentForm.test(component))) return;
  if (/[A-Z]/.test(repository)) throw wrong(text, "names in registries are lower case");
  throw wrong(
    text,
    `${quote(repository)} is not a name: it takes lower-case letters and digits, with . _ - / in between`,
  );
}

function parseTag(tag: string, text: string): string {
  if (tagForm.test(tag)) return tag;
  throw wrong(text, `${quote(tag)} is not a tag: it takes up to 128 letters, digits and _ . -`);
}

function parseDigest(digest: string, text: string): ManifestDigest {
  try {
    return parseManifestDigest(digest);
  } catch (cause) {
    throw wrong(text, "after @ stands a digest, sha256: and 64 lower-case hex digits", cause);
  }
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}

function wrong(text: string, state: string, cause?: unknown): OsdeployError {
  return new OsdeployError("usage", `Cannot use ${quote(text)} as an image reference: ${state}`, { cause });
}
