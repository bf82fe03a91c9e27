import { Buffer } from "node:buffer";
import { OsdeployError } from "../core/errors.ts";
import { parseDocument } from "../core/oci/json.ts";
import { badPlace, entriesOf, type JsonPlace, member, optional, optionalText } from "../core/oci/json-place.ts";

/** A user name and a password, as a registry takes them. Never to be shown. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** What proves who somebody is: a password, or a token that a token server gives other tokens for. Never to be shown. */
export type Login =
  | ({ readonly kind: "password" } & Credentials)
  | { readonly kind: "identity-token"; readonly token: string };

/** The repository that a login is for. */
export interface LoginName {
  readonly host: string;
  readonly repository: string;
}

/** The entries of one login file. */
export interface AuthFile {
  /** The program that keeps the credentials of this very host (`credHelpers`); its answer is final for this file. */
  helperOf(host: string): string | undefined;
  /** The program that keeps all credentials (`credsStore`). containers/image does not know it, Docker does. */
  readonly store: string | undefined;
  find(name: LoginName): Login | undefined;
}

/**
 * Reads an auth.json (or Docker's config.json). Within a file the longest key counts: `host/a/b`, `host/a`, `host`.
 *
 * @throws OsdeployError `bad-format`; the message never holds what the file says.
 * @see https://github.com/containers/container-libs/blob/main/image/docs/containers-auth.json.5.md
 */
export function parseAuthFile(bytes: Uint8Array, path: string): AuthFile {
  const place = parseDocument(bytes, path);
  const auths = optional(place, "auths");
  const helpers = optional(place, "credHelpers");
  return {
    helperOf: (host) => {
      const found = helpers === undefined ? undefined : entriesOf(helpers).find(([key]) => hostOfKey(key) === host);
      return found === undefined || helpers === undefined ? undefined : optionalText(helpers, found[0]);
    },
    store: optionalText(place, "credsStore"),
    find: finder(auths, hostOfKey),
  };
}

/** Reads a `.dockercfg`, which older Dockers wrote: the entries of an auth.json, by host or address. */
export function parseOldAuthFile(bytes: Uint8Array, path: string): AuthFile {
  const find = finder(parseDocument(bytes, path), (key) => hostOfKey(key).replace(/\/.*$/, ""));
  return { helperOf: () => undefined, store: undefined, find };
}

function finder(auths: JsonPlace | undefined, normalKey: (key: string) => string): AuthFile["find"] {
  const entries = new Map<string, JsonPlace>();
  for (const [key, place] of auths === undefined ? [] : entriesOf(auths)) {
    // Where an address and a plain host become the same key, the plain one counts.
    if (!entries.has(normalKey(key)) || normalKey(key) === key) entries.set(normalKey(key), place);
  }
  return ({ host, repository }) => {
    const key = keysOf(host, repository).find((each) => entries.has(each));
    // The most specific key counts, even when it turns out to be empty.
    const place = key === undefined ? undefined : entries.get(key);
    return place === undefined ? undefined : loginOf(place);
  };
}

/** `user:password`, as `--creds` takes it. @throws OsdeployError `usage` without a colon. */
export function parseCredentials(text: string): Credentials {
  const colon = text.indexOf(":");
  if (colon > 0) return { user: text.slice(0, colon), password: text.slice(colon + 1) };
  throw new OsdeployError("usage", "Cannot use the credentials: write them as USER:PASSWORD");
}

/** Docker Hub has had three names. */
const hubNames = ["registry-1.docker.io", "index.docker.io"];

/** Docker writes keys as addresses, of which only the host counts. */
function hostOfKey(key: string): string {
  const host = key.replace(/^https?:\/\/([^/]*).*$/, "$1");
  return hubNames.includes(host) ? "docker.io" : host;
}

function keysOf(host: string, repository: string): readonly string[] {
  const names = repository.split("/");
  return names.map((_, index) => [host, ...names.slice(0, names.length - index)].join("/")).concat(host);
}

function loginOf(place: JsonPlace): Login | undefined {
  const token = optionalText(place, "identitytoken");
  if (token !== undefined) return { kind: "identity-token", token };
  const auth = optionalText(place, "auth");
  if (auth === undefined) return undefined;
  // Without padding it can be read all the same. What cannot is a damaged login, not none: another file has no say then.
  if (!/^[\w+/\r\n-]*={0,2}[\r\n]*$/.test(auth)) throw badPlace(member(place, "auth"), "is not base64");
  const text = Buffer.from(auth, "base64").toString("utf8").replace(/\0+$/, "");
  return text.indexOf(":") > 0 ? { kind: "password", ...parseCredentials(text) } : undefined;
}
