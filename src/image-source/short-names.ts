import { OsdeployError } from "../core/errors.ts";
import { formatShortName, parseRegistryName, type RegistryName, type ShortName } from "../core/oci/registry-name.ts";
import type { RegistriesConf } from "./registries-conf.ts";

/**
 * The full names that a short one may stand for, in the order to try them: its alias alone, or one for each search
 * registry. Nobody is asked: where podman would ask and insist on an answer (`enforcing`), this is an error.
 *
 * @throws OsdeployError `usage` when there is none, or too many.
 */
export function expandShortName(conf: RegistriesConf, name: ShortName): readonly RegistryName[] {
  const { tag, digest } = name;
  const alias = conf.aliases.get(name.repository);
  if (alias !== undefined) return [{ ...parseRegistryName(alias), tag, digest }];
  const registries = conf.searchRegistries ?? [];
  if (registries.length === 0) {
    throw unclear(name, "it does not say its registry, and registries.conf has no alias and no search registry");
  }
  if (registries.length > 1 && conf.shortNameMode === "enforcing") {
    throw unclear(name, `it could be in ${registries.join(", ")}, and registries.conf wants to be sure`);
  }
  return registries.map((registry) => ({ ...parseRegistryName(`${registry}/${name.repository}`), tag, digest }));
}

function unclear(name: ShortName, state: string): OsdeployError {
  const text = formatShortName(name);
  return new OsdeployError("usage", `Cannot use "${text}": ${state}; write it in full, as in quay.io/${text}`);
}
