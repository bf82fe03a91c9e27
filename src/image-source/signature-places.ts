import { parseAllDocuments, type YAMLError } from "yaml";
import { fromText, toText } from "../core/bytes/byte-string.ts";
import { decodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import type { RegistryName } from "../core/oci/registry-name.ts";
import { registryScopes } from "../core/trust/policy-scope.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import { type Environment, homeOf, listConfiguration, readConfiguration } from "./configuration-file.ts";

/** Where the signatures of an image are kept. */
export interface SignaturePlaces {
  /** A `file:`, `http:` or `https:` address that simple signatures lie below. */
  readonly lookaside: string;
  /** Where new ones are written: the same, unless another place is named for that. */
  readonly lookasideToWrite: string;
  /** Whether the registry is asked for signatures beside the image. */
  readonly attachments: boolean;
}

/** One section of registries.d. */
interface Section {
  readonly lookaside: string | undefined;
  readonly staging: string | undefined;
  readonly attachments: boolean | undefined;
}

interface Sections {
  readonly fallback: Section | undefined;
  readonly scopes: ReadonlyMap<string, Section>;
}

/**
 * Reads registries.d, the user's or else the machine's, and looks up where the signatures of `name` are: its name in the
 * registry that delivers it, which may be a mirror. Each key is taken from the most specific section that has it; the place
 * for new ones is that for all where a section has no other.
 *
 * @throws OsdeployError `bad-format` for a file that cannot be read, or two that say the same scope.
 * @see https://github.com/containers/container-libs/blob/main/image/docs/containers-registries.d.5.md
 */
export function signaturePlaces(files: LinuxFiles, name: RegistryName, environment: Environment): SignaturePlaces {
  const { scopes, fallback } = readSections(files, environment);
  const sections = [...registryScopes(name).map((scope) => scopes.get(scope)), fallback];
  const first = <T>(of: (section: Section) => T | undefined): T | undefined => {
    for (const section of sections) {
      const value = section && of(section);
      if (value !== undefined) return value;
    }
    return undefined;
  };
  const isRoot = environment.userId === 0;
  const usual = isRoot ? "/var/lib/containers/sigstore" : `${homeOf(environment)}/.local/share/containers/sigstore`;
  const lookaside = first((section) => section.lookaside) ?? `file://${usual}`;
  return {
    lookaside,
    lookasideToWrite: first((section) => section.staging ?? section.lookaside) ?? lookaside,
    attachments: first(({ attachments }) => attachments) ?? false,
  };
}

function readSections(files: LinuxFiles, environment: Environment): Sections {
  const ofUser = fromText(`${homeOf(environment)}/.config/containers/registries.d`);
  const directory = files.lstatIfExists(ofUser) === undefined ? fromText("/etc/containers/registries.d") : ofUser;
  const scopes = new Map<string, Section>();
  let fallback: Section | undefined;
  for (const name of listConfiguration(files, directory).filter((each) => each.endsWith(".yaml"))) {
    const path = childPath(directory, name);
    const read = parseSections(readConfiguration(files, path) ?? new Uint8Array(0), path);
    for (const [scope, section] of read.scopes) {
      if (scopes.has(scope)) throw wrong(path, `another file has the scope ${JSON.stringify(scope)}, too`);
      scopes.set(scope, section);
    }
    if (read.fallback !== undefined && fallback !== undefined)
      throw wrong(path, "another file has default-docker, too");
    fallback ??= read.fallback;
  }
  return { scopes, fallback };
}

function parseSections(bytes: Uint8Array, path: Path): Sections {
  const value = parseYaml(bytes, path);
  const top = fieldsOf(value ?? {}, path);
  const fallback = top["default-docker"];
  const scopes = fieldsOf(top["docker"] ?? {}, path);
  return {
    fallback: fallback === undefined || fallback === null ? undefined : sectionOf(fallback, path),
    scopes: new Map(Object.entries(scopes).map(([scope, section]) => [scope, sectionOf(section, path)])),
  };
}

/** Aliases in a file that a person wrote; many of them in each other would grow without end. */
const aliasLimit = 100;

/** The first document of a file, as the tools read it that these files are written for. */
function parseYaml(bytes: Uint8Array, path: Path): unknown {
  const [document] = [...parseAllDocuments(decodeText(bytes), { uniqueKeys: true, merge: true })];
  if (document === undefined) return undefined;
  const [error]: readonly YAMLError[] = document.errors;
  if (error !== undefined) throw wrong(path, `it is no YAML: ${error.message.split("\n")[0]}`);
  try {
    return document.toJS({ maxAliasCount: aliasLimit });
  } catch (cause) {
    throw wrong(path, "its aliases cannot be followed, or grow without end", cause);
  }
}

function sectionOf(value: unknown, path: Path): Section {
  const fields = fieldsOf(value ?? {}, path);
  return {
    lookaside: textIn(fields, ["lookaside", "sigstore"], path),
    staging: textIn(fields, ["lookaside-staging", "sigstore-staging"], path),
    attachments: flagOf(fields["use-sigstore-attachments"], path),
  };
}

/** The first of these that says something: an empty text does not. */
function textIn(
  fields: Readonly<Record<string, unknown>>,
  [key, oldKey]: readonly [string, string],
  path: Path,
): string | undefined {
  for (const value of [fields[key], fields[oldKey]]) {
    if (value === undefined || value === null || value === "") continue;
    if (typeof value !== "string") throw wrong(path, `a ${key} is no text`);
    return value;
  }
  return undefined;
}

/** YAML 1.1 had more words for these two, and tools in Go still take them where a flag is wanted. */
const flagWords: ReadonlyMap<unknown, boolean> = new Map(
  [true, "y", "Y", "yes", "Yes", "YES", "on", "On", "ON"]
    .map((word): [unknown, boolean] => [word, true])
    .concat([false, "n", "N", "no", "No", "NO", "off", "Off", "OFF"].map((word) => [word, false])),
);

function flagOf(value: unknown, path: Path): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  const flag = flagWords.get(value);
  if (flag === undefined) throw wrong(path, "use-sigstore-attachments is neither true nor false");
  return flag;
}

function fieldsOf(value: unknown, path: Path): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(path, "a section is no mapping");
  return value as Readonly<Record<string, unknown>>;
}

function wrong(path: Path, state: string, cause?: unknown): OsdeployError {
  return new OsdeployError("bad-format", `Cannot read "${toText(path)}": ${state}`, { cause });
}
