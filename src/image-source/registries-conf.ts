import { parse } from "smol-toml";
import { OsdeployError } from "../core/errors.ts";
import {
  arrayOf,
  badPlace,
  entriesOf,
  type JsonPlace,
  optional,
  optionalText,
  textOf,
} from "../core/oci/json-place.ts";
import { isRegistryHost, parseRegistryName, parseShortName } from "../core/oci/registry-name.ts";

/** What containers-registries.conf(5) can say, of one file or of all of them together. */
export interface RegistriesConf {
  /** Registries to try for a short name, in order. */
  readonly searchRegistries: readonly string[] | undefined;
  /** Programs that keep credentials, in the order to ask them; `containers-auth.json` stands for the login files. */
  readonly credentialHelpers: readonly string[] | undefined;
  readonly shortNameMode: ShortNameMode | undefined;
  /** Short names, and the full names they stand for; an empty one takes an alias of an earlier file away. */
  readonly aliases: ReadonlyMap<string, string>;
  /** By prefix. */
  readonly registries: ReadonlyMap<string, RegistryRule>;
}

/** What to do when several registries could be meant by a short name. */
export type ShortNameMode = "disabled" | "permissive" | "enforcing";

/** One `[[registry]]`: how the names that start with `prefix` are got at. */
export interface RegistryRule {
  /** A host, a namespace or a repository; or `*.DOMAIN`. */
  readonly prefix: string;
  /** What replaces the prefix; undefined where the name stays as it is. */
  readonly location: string | undefined;
  /** Whether certificates need not be trusted, and plain HTTP is taken. */
  readonly insecure: boolean;
  readonly blocked: boolean;
  readonly mirrors: readonly MirrorRule[];
}

/** One `[[registry.mirror]]`. */
export interface MirrorRule {
  readonly location: string;
  readonly insecure: boolean;
  readonly serves: "all" | "digest-only" | "tag-only";
}

/** What is in force where nothing is configured. */
export const emptyRegistriesConf: RegistriesConf = {
  searchRegistries: undefined,
  credentialHelpers: undefined,
  shortNameMode: undefined,
  aliases: new Map(),
  registries: new Map(),
};

/** Tables, mirrors and names in one file; people write some ten. */
const listLimit = 10_000;

/**
 * Reads one registries.conf of version 2, or of version 1 where `allowsV1`. Keys that are not known mean nothing, as in
 * containers/image.
 *
 * @throws OsdeployError `bad-format` with the place in the file.
 * @see https://github.com/containers/container-libs/blob/main/image/docs/containers-registries.conf.5.md
 */
export function parseRegistriesConf(
  text: string,
  file: string,
  options: { readonly allowsV1: boolean },
): RegistriesConf {
  const place = { document: file, path: "", value: parseToml(text, file) };
  const old = optional(place, "registries");
  const conf = parseV2(place);
  if (old === undefined) return conf;
  const isMixed = conf.searchRegistries !== undefined || conf.registries.size > 0 || conf.shortNameMode !== undefined;
  if (!options.allowsV1 || isMixed) throw badPlace(old, "is of version 1, and cannot stand here");
  return parseV1(old);
}

/** `later` over `conf`: what it sets replaces; tables of one prefix as a whole, aliases by their names. */
export function mergeRegistriesConf(conf: RegistriesConf, later: RegistriesConf): RegistriesConf {
  const aliases = new Map([...conf.aliases, ...later.aliases]);
  return {
    searchRegistries: later.searchRegistries ?? conf.searchRegistries,
    credentialHelpers: later.credentialHelpers ?? conf.credentialHelpers,
    shortNameMode: later.shortNameMode ?? conf.shortNameMode,
    aliases: new Map([...aliases].filter(([, name]) => name !== "")),
    registries: new Map([...conf.registries, ...later.registries]),
  };
}

function parseToml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    // The parser's message shows the line, which may hold anything but says best what is wrong.
    const state = cause instanceof Error ? (cause.message.split("\n")[0] ?? "it is no TOML") : "it is no TOML";
    throw new OsdeployError("bad-format", `Cannot read ${file}: ${state}`, { cause });
  }
}

function parseV2(place: JsonPlace): RegistriesConf {
  const aliases = optional(place, "aliases");
  const tables = optional(place, "registry");
  const rules = tables === undefined ? [] : arrayOf(tables, listLimit).map((table) => parseRule(table));
  checkAgreement(rules, place);
  return {
    searchRegistries: searchRegistriesOf(place, "unqualified-search-registries"),
    credentialHelpers: textsOf(place, "credential-helpers"),
    shortNameMode: oneOf(place, "short-name-mode", ["disabled", "permissive", "enforcing"]),
    aliases: new Map(
      aliases === undefined ? [] : entriesOf(aliases).map(([name, full]) => [name, aliasOf(name, full)]),
    ),
    // The first of two tables with one prefix counts.
    registries: new Map([...rules].reverse().map((rule) => [rule.prefix, rule])),
  };
}

function parseRule(table: JsonPlace): RegistryRule {
  const location = locationOf(table);
  const prefix = withoutSlashes(optionalText(table, "prefix") ?? location ?? "");
  checkPrefix(prefix, location, table);
  if (optionalText(table, "pull-from-mirror") !== undefined) {
    throw badPlace(table, "sets pull-from-mirror outside a mirror");
  }
  const digestOnly = flagOf(table, "mirror-by-digest-only");
  const mirrors = optional(table, "mirror");
  return {
    prefix,
    location: location === prefix ? undefined : location,
    insecure: flagOf(table, "insecure"),
    blocked: flagOf(table, "blocked"),
    mirrors: mirrors === undefined ? [] : arrayOf(mirrors, listLimit).map((mirror) => parseMirror(mirror, digestOnly)),
  };
}

function parseMirror(mirror: JsonPlace, digestOnly: boolean): MirrorRule {
  const location = locationOf(mirror);
  if (location === undefined) throw badPlace(mirror, "has no location");
  const serves = oneOf(mirror, "pull-from-mirror", ["all", "digest-only", "tag-only"]);
  if (digestOnly && serves !== undefined) {
    throw badPlace(mirror, "sets pull-from-mirror below a registry with mirror-by-digest-only");
  }
  return { location, insecure: flagOf(mirror, "insecure"), serves: serves ?? (digestOnly ? "digest-only" : "all") };
}

function checkPrefix(prefix: string, location: string | undefined, table: JsonPlace): void {
  if (prefix === "") throw badPlace(table, "has neither a prefix nor a location");
  if (prefix.startsWith("*.")) {
    if (/[/@:]/.test(prefix)) throw badPlace(table, `has the prefix "${prefix}", which names more than a domain`);
  } else if (location === undefined) throw badPlace(table, `has no location for the prefix "${prefix}"`);
}

/** The registries of a list to search; each has to be a host. */
function searchRegistriesOf(place: JsonPlace, key: string): readonly string[] | undefined {
  return textsOf(place, key)?.map((text) => {
    const host = withoutSlashes(text);
    if (isRegistryHost(host)) return host;
    throw badPlace(place, `has ${JSON.stringify(text.slice(0, 200))} in ${key}, which is not a host`);
  });
}

/** The name that the short name `short` stands for: `REGISTRY/REPOSITORY`, or nothing. */
function aliasOf(short: string, place: JsonPlace): string {
  const full = textOf(place);
  if (kindOfName(short) !== "short") throw badPlace(place, "is for what is no short name without a tag");
  if (full === "" || kindOfName(full) === "full") return full;
  throw badPlace(place, `is ${JSON.stringify(full.slice(0, 200))}, which is not of the form REGISTRY/REPOSITORY`);
}

/** Undefined for what is no name, or has a tag or a digest. */
function kindOfName(text: string): "short" | "full" | undefined {
  if (/@|:[^/]*$/.test(text)) return undefined;
  try {
    if (parseShortName(text) !== undefined) return "short";
    parseRegistryName(text);
    return "full";
  } catch {
    return undefined;
  }
}

function locationOf(table: JsonPlace): string | undefined {
  const location = optionalText(table, "location");
  if (location === undefined) return undefined;
  if (/^[A-Za-z]+:\/\//.test(location)) throw badPlace(table, "has a location with a scheme; leave out https://");
  return withoutSlashes(location) || undefined;
}

/** Two tables for one place that differ in how safe it is: which of them counts would be a matter of luck. */
function checkAgreement(rules: readonly RegistryRule[], place: JsonPlace): void {
  const seen = new Map<string, RegistryRule>();
  for (const rule of rules) {
    const location = rule.location ?? rule.prefix;
    const other = seen.get(location);
    if (other !== undefined && (other.insecure !== rule.insecure || other.blocked !== rule.blocked)) {
      throw badPlace(place, `has two tables for "${location}" that differ in insecure or blocked`);
    }
    seen.set(location, rule);
  }
}

function parseV1(place: JsonPlace): RegistriesConf {
  const list = (key: string) => {
    const table = optional(place, key);
    return (table === undefined ? undefined : textsOf(table, "registries"))?.map(withoutSlashes) ?? [];
  };
  const search = optional(place, "search");
  const insecure = new Set(list("insecure"));
  const blocked = new Set(list("block"));
  const prefixes = [...new Set([...insecure, ...blocked])];
  const rule = (prefix: string): RegistryRule => ({
    ...{ prefix, location: undefined, mirrors: [] },
    ...{ insecure: insecure.has(prefix), blocked: blocked.has(prefix) },
  });
  return {
    ...emptyRegistriesConf,
    searchRegistries: search === undefined ? [] : (searchRegistriesOf(search, "registries") ?? []),
    registries: new Map(prefixes.map((prefix) => [prefix, rule(prefix)])),
  };
}

function textsOf(place: JsonPlace, key: string): readonly string[] | undefined {
  const list = optional(place, key);
  return list === undefined ? undefined : arrayOf(list, listLimit).map(textOf);
}

function flagOf(place: JsonPlace, key: string): boolean {
  const flag = optional(place, key);
  if (flag === undefined) return false;
  if (typeof flag.value !== "boolean") throw badPlace(flag, "is neither true nor false");
  return flag.value;
}

function oneOf<const T extends string>(place: JsonPlace, key: string, words: readonly T[]): T | undefined {
  const text = optionalText(place, key);
  if (text === undefined) return undefined;
  const word = words.find((each) => each === text);
  if (word === undefined) throw badPlace(place, `has the ${key} "${text}"; it takes ${words.join(", ")}`);
  return word;
}

function withoutSlashes(text: string): string {
  return text.replace(/\/+$/, "");
}
