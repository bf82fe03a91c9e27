import { OsdeployError } from "../core/errors.ts";
import { formatRegistryName, parseRegistryName, type RegistryName } from "../core/oci/registry-name.ts";
import type { RegistriesConf, RegistryRule } from "./registries-conf.ts";

/** A repository at one registry, as it is really asked for: the physical name, where the user's is the logical one. */
export interface Endpoint {
  readonly host: string;
  readonly repository: string;
  /** Whether its certificate need not be trusted, and plain HTTP is taken. */
  readonly insecure: boolean;
  readonly isMirror: boolean;
}

/**
 * Where the image `name` may be got: its mirrors in the order of registries.conf, and last the place itself, which a rule
 * can rename.
 *
 * @throws OsdeployError `permission-denied` when registries.conf blocks it; `bad-format` when a rule leads to no name.
 */
export function endpointsOf(conf: RegistriesConf, name: RegistryName): readonly Endpoint[] {
  const rule = findRule(conf, name);
  if (rule === undefined) return [{ ...placeOf(name), insecure: false, isMirror: false }];
  if (rule.blocked) {
    throw new OsdeployError(
      "permission-denied",
      `Cannot use docker://${formatRegistryName(name)}: registries.conf blocks "${rule.prefix}"`,
      { facts: { prefix: rule.prefix } },
    );
  }
  const kind = name.digest === undefined ? "tag-only" : "digest-only";
  const mirrors = rule.mirrors.filter(({ serves }) => serves === "all" || serves === kind);
  return [
    ...mirrors.map(({ location, insecure }) => ({ ...rewrite(name, rule, location), insecure, isMirror: true })),
    { ...rewrite(name, rule, rule.location), insecure: rule.insecure, isMirror: false },
  ];
}

/** The rule with the longest prefix. Tag and digest have no part in it, as in containers/image. */
function findRule(conf: RegistriesConf, name: RegistryName): RegistryRule | undefined {
  const matching = [...conf.registries.values()].filter((rule) => matchedLength(rule.prefix, name) > 0);
  return matching.sort((a, b) => b.prefix.length - a.prefix.length)[0];
}

/** How much of `HOST/REPOSITORY` the prefix stands for; 0 when it does not match. */
function matchedLength(prefix: string, { host, repository }: RegistryName): number {
  // The host of a wildcard counts without what stands behind it.
  if (prefix.startsWith("*.")) return host.replace(/:[0-9]+$/, "").endsWith(prefix.slice(1)) ? hostLength(host) : 0;
  const text = `${host}/${repository}`;
  if (text === prefix) return prefix.length;
  return text.startsWith(prefix) && "/:".includes(text.charAt(prefix.length)) ? prefix.length : 0;
}

/** A port behind a wildcard's match stays. */
function hostLength(host: string): number {
  return host.replace(/:[0-9]+$/, "").length;
}

function rewrite(name: RegistryName, rule: RegistryRule, location: string | undefined): PlaceInRegistry {
  if (location === undefined) return placeOf(name);
  const text = `${location}${`${name.host}/${name.repository}`.slice(matchedLength(rule.prefix, name))}`;
  const place = parseRegistryName(text);
  if (`${place.host}/${place.repository}` !== text) {
    throw new OsdeployError(
      "bad-format",
      `Cannot use registries.conf: for "${rule.prefix}" it leads to ${JSON.stringify(text)}, which names no registry`,
    );
  }
  return placeOf(place);
}

type PlaceInRegistry = Pick<RegistryName, "host" | "repository">;

function placeOf({ host, repository }: PlaceInRegistry): PlaceInRegistry {
  return { host, repository };
}
