import type { RegistryName } from "../oci/registry-name.ts";
import type { Policy, Requirement } from "./policy.ts";

/** The image that a policy is asked about: by its name before mirrors, or by the path of the layout it is in. */
export type PolicySubject =
  | { readonly kind: "registry"; readonly name: RegistryName }
  /** `path` is absolute and without symlinks; `tag` as the layout names it, empty where none was asked for. */
  | { readonly kind: "path"; readonly transport: "oci" | "oci-archive"; readonly path: string; readonly tag: string }
  /** A transport that only knows one scope for all its images. */
  | { readonly kind: "transport"; readonly transport: string };

/** What applies to an image, and the scope of it in words. */
export interface ApplicableRequirements {
  readonly scope: string;
  readonly requirements: readonly Requirement[];
}

/**
 * Finds the requirements for an image: those of the most specific scope. Those of wider scopes are not inherited.
 *
 * An image of a layout or archive that is not asked for by a tag may have any. It has to satisfy what the policy has for each
 * tag there as well: to leave out a tag is no way around it.
 */
export function requirementsFor(policy: Policy, subject: PolicySubject): ApplicableRequirements {
  const transport = subject.kind === "registry" ? "docker" : subject.transport;
  const scopes = policy.transports.get(transport);
  const tagged = scopes === undefined ? [] : requirementsOfTags(scopes, subject);
  for (const scope of [...scopesOf(subject), ""]) {
    const requirements = scopes?.get(scope);
    if (requirements !== undefined) {
      const name = scope === "" ? `transport ${transport}` : `${transport} ${scope}`;
      return withTags({ scope: name, requirements }, tagged);
    }
  }
  return withTags({ scope: "default", requirements: policy.fallback }, tagged);
}

function requirementsOfTags(
  scopes: ReadonlyMap<string, readonly Requirement[]>,
  subject: PolicySubject,
): readonly Requirement[] {
  if (subject.kind !== "path" || subject.tag !== "") return [];
  return [...scopes].flatMap(([scope, requirements]) => (scope.startsWith(`${subject.path}:`) ? requirements : []));
}

function withTags(
  { scope, requirements }: ApplicableRequirements,
  tagged: readonly Requirement[],
): ApplicableRequirements {
  if (tagged.length === 0) return { scope, requirements };
  return { scope: `${scope}, and what it has for tags there`, requirements: [...tagged, ...requirements] };
}

function scopesOf(subject: PolicySubject): readonly string[] {
  switch (subject.kind) {
    case "registry":
      return registryScopes(subject.name);
    case "path":
      return [...(subject.tag === "" ? [] : [`${subject.path}:${subject.tag}`]), ...parents(subject.path)];
    case "transport":
      return [];
  }
}

/** All scopes of a name in a registry, most specific first; `registries.d` has the same. */
export function registryScopes({ host, repository, tag, digest }: RegistryName): readonly string[] {
  const name = `${host}/${repository}`;
  const exact = digest !== undefined ? `${name}@${digest}` : `${name}:${tag}`;
  const labels = host.replace(/:\d+$/, "").split(".");
  const wildcards = labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join(".")}`);
  return [exact, ...parents(name), ...wildcards];
}

/** `a/b/c`, `a/b`, `a`; for an absolute path not the root. */
function parents(path: string): readonly string[] {
  const found: string[] = [];
  for (let rest = path; rest !== ""; rest = rest.slice(0, Math.max(rest.lastIndexOf("/"), 0))) found.push(rest);
  return found;
}
