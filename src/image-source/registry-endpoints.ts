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
  /** The prefix in registries.conf that blocks this very place, whatever name led to it; undefined where none does. */
  readonly blockedBy: string | undefined;
}

/**
 * Where the image `name` may be got: its mirrors in the order of registries.conf, and last the place itself, which a rule
 * can rename.
 *
 * @throws OsdeployError `permission-denied` when registries.conf blocks `name`; `bad-format` when a rule leads to no name.
 */
export function endpointsOf(conf: RegistriesConf, name: RegistryName): readonly Endpoint[] {
  const rule = usableRule(conf, name);
  const endpoint = (place: PlaceInRegistry, of: Pick<Endpoint, "insecure" | "isMirror">): Endpoint => {
    const ruleThere = findRule(conf, place);
    return { ...place, ...of, blockedBy: ruleThere?.blocked ? ruleThere.prefix : undefined };
  };
  if (rule === undefined) return [endpoint(placeOf(name), { insecure: false, isMirror: false })];
  const kind = name.digest === undefined ? "tag-only" : "digest-only";
  const mirrors = rule.mirrors.filter(({ serves }) => serves === "all" || serves === kind);
  return [
    ...mirrors.map(({ location, insecure }) => endpoint(rewrite(name, rule, location), { insecure, isMirror: true })),
    endpoint(rewrite(name, rule, rule.location), { insecure: rule.insecure, isMirror: false }),
  ];
}

/**
 * Where images called `name` are written to: to that very place. Mirrors and locations are for reading, as
 * containers-registries.conf(5) says: what is told to be in a registry has to be there.
 *
 * @throws OsdeployError `permission-denied` when registries.conf blocks `name`.
 */
export function endpointToPush(conf: RegistriesConf, name: RegistryName): Endpoint {
  const rule = usableRule(conf, name);
  return { ...placeOf(name), insecure: rule?.insecure ?? false, isMirror: false, blockedBy: undefined };
}

/** @throws OsdeployError `permission-denied` when registries.conf blocks the place, though a rule for another leads there. */
export function refuseBlocked({ host, repository, blockedBy }: Endpoint): void {
  if (blockedBy !== undefined) throw blocked(`${host}/${repository}`, blockedBy);
}

/** The rule for `name`, which does not block it. */
function usableRule(conf: RegistriesConf, name: RegistryName): RegistryRule | undefined {
  const rule = findRule(conf, name);
  if (rule?.blocked) throw blocked(formatRegistryName(name), rule.prefix);
  return rule;
}

function blocked(name: string, prefix: string): OsdeployError {
  return new OsdeployError(
    "permission-denied",
    `Cannot use docker://${name}: registries.conf blocks ${JSON.stringify(prefix)}`,
    { facts: { prefix } },
  );
}

/**
 * The rule with the longest prefix, counted in letters; of equal ones the first by its text, wherever it stands in the
 * files: `*.a.com` comes before `b.a.com`. That is how containers/image sorts them. Tag and digest have no part in it.
 */
function findRule(conf: RegistriesConf, name: PlaceInRegistry): RegistryRule | undefined {
  const matching = [...conf.registries.values()].filter((rule) => matchedLength(rule.prefix, name) > 0);
  const [first] = matching.sort((a, b) => b.prefix.length - a.prefix.length || (a.prefix < b.prefix ? -1 : 1));
  return first;
}

/** How much of `HOST/REPOSITORY` the prefix stands for; 0 when it does not match. */
function matchedLength(prefix: string, { host, repository }: PlaceInRegistry): number {
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
