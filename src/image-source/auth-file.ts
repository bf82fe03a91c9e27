import { Buffer } from "node:buffer";
import { fromText, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import { parseDocument } from "../core/oci/json.ts";
import { entriesOf, type JsonPlace, optional, optionalText } from "../core/oci/json-place.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";

/** A user name and a password, as a registry takes them. Never to be shown. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** What of the process decides where login files are. */
export interface Environment {
  /** `process.env`. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly userId: number;
}

const fileLimitBytes = 1024 * 1024;

/**
 * The credentials for a repository from the login files of podman and Docker: the first file with an entry that has
 * some. Within a file the longest key counts: `host/a/b`, `host/a`, `host`.
 *
 * @param explicit the file of `--authfile`, instead of all others.
 * @throws OsdeployError `not-found` when that one is missing; `bad-format` for a file that cannot be read.
 * @see https://github.com/containers/container-libs/blob/main/image/docs/containers-auth.json.5.md
 */
export function findCredentials(
  name: { readonly host: string; readonly repository: string },
  files: LinuxFiles,
  from: { readonly explicit: Path | undefined; readonly environment: Environment },
): Credentials | undefined {
  const paths = from.explicit === undefined ? authFilePaths(from.environment) : [from.explicit];
  for (const path of paths) {
    if (from.explicit === undefined && files.lstatIfExists(path) === undefined) continue;
    const found = parseAuthFile(files.readFile(path, fileLimitBytes), toText(path)).find(name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Where login files lie, first to be asked first. `REGISTRY_AUTH_FILE` stands for all others. */
export function authFilePaths({ variables, userId }: Environment): readonly Path[] {
  const variable = (name: string) => variables[name] || undefined;
  const single = variable("REGISTRY_AUTH_FILE");
  if (single !== undefined) return [fromText(single)];
  const home = variable("HOME") ?? "/root";
  const session = variable("XDG_RUNTIME_DIR");
  return [
    session === undefined ? `/run/containers/${userId}/auth.json` : `${session}/containers/auth.json`,
    `${variable("XDG_CONFIG_HOME") ?? `${home}/.config`}/containers/auth.json`,
    `${variable("DOCKER_CONFIG") ?? `${home}/.docker`}/config.json`,
  ].map(fromText);
}

/** The entries of one login file. */
export interface AuthFile {
  find(name: { readonly host: string; readonly repository: string }): Credentials | undefined;
}

/**
 * Reads an auth.json (or Docker's config.json). Programs that keep credentials elsewhere (`credHelpers`) are not asked.
 *
 * @throws OsdeployError `bad-format`; the message never holds what the file says.
 */
export function parseAuthFile(bytes: Uint8Array, path: string): AuthFile {
  const auths = optional(parseDocument(bytes, path), "auths");
  const entries = new Map(
    (auths === undefined ? [] : entriesOf(auths)).map(([key, place]) => [normalKey(key), place] as const),
  );
  return {
    find: ({ host, repository }) => {
      for (const key of keysOf(host, repository)) {
        const place = entries.get(key);
        // The most specific key counts, even when it turns out to be empty.
        if (place !== undefined) return credentialsOf(place);
      }
      return undefined;
    },
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
function normalKey(key: string): string {
  const host = key.replace(/^https?:\/\/([^/]*).*$/, "$1");
  return hubNames.includes(host) ? "docker.io" : host;
}

function keysOf(host: string, repository: string): readonly string[] {
  const names = repository.split("/");
  return names.map((_, index) => [host, ...names.slice(0, names.length - index)].join("/")).concat(host);
}

function credentialsOf(place: JsonPlace): Credentials | undefined {
  const auth = optionalText(place, "auth");
  if (auth === undefined) return undefined;
  const text = Buffer.from(auth, "base64").toString("utf8").replace(/\0+$/, "");
  return text.indexOf(":") > 0 ? parseCredentials(text) : undefined;
}
