import { fromText, toText } from "../core/bytes/byte-string.ts";
import { decodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import {
  type Environment,
  homeOf,
  listConfiguration,
  quotePath,
  readConfiguration,
  variableOf,
} from "./configuration-file.ts";
import {
  emptyRegistriesConf,
  mergeRegistriesConf,
  parseRegistriesConf,
  type RegistriesConf,
} from "./registries-conf.ts";

/**
 * What all registries.conf of this machine say together, as podman reads them. A user's own file stands for the one of
 * the machine; where there is none, the machine's directory counts, and the user's over it.
 *
 * @throws OsdeployError `not-found` when CONTAINERS_REGISTRIES_CONF names no file; `bad-format`; `permission-denied`.
 */
export function readRegistriesConf(files: LinuxFiles, environment: Environment): RegistriesConf {
  const { main, directories, isNamed } = registriesConfPaths(files, environment);
  const bytes = readConfiguration(files, main);
  if (bytes === undefined && isNamed) {
    throw new OsdeployError("not-found", `Cannot read ${quotePath(main)}: there is no such file`);
  }
  const first = bytes === undefined ? emptyRegistriesConf : parseFile(bytes, main, { allowsV1: true });
  let conf = mergeRegistriesConf(emptyRegistriesConf, first);
  for (const directory of directories) {
    for (const name of listConfiguration(files, directory)) {
      const path = childPath(directory, name);
      const dropIn = name.endsWith(".conf") ? readConfiguration(files, path) : undefined;
      if (dropIn !== undefined) conf = mergeRegistriesConf(conf, parseFile(dropIn, path, { allowsV1: false }));
    }
  }
  return withCachedAliases(files, environment, conf);
}

/** The main file and the directories of drop-ins. */
export function registriesConfPaths(
  files: LinuxFiles,
  environment: Environment,
): { readonly main: Path; readonly directories: readonly Path[]; readonly isNamed: boolean } {
  const ofUser = fromText(`${homeOf(environment)}/.config/containers/registries.conf`);
  const ofMachine = fromText("/etc/containers/registries.conf");
  const named =
    variableOf(environment, "CONTAINERS_REGISTRIES_CONF") ?? variableOf(environment, "REGISTRIES_CONFIG_PATH");
  const namedDirectory = variableOf(environment, "CONTAINERS_REGISTRIES_CONF_DIR");
  const hasOwn = named === undefined && files.lstatIfExists(ofUser) !== undefined;
  const dropIns = (main: Path) => `${main}.d` as Path;
  const usual = hasOwn ? [dropIns(ofUser)] : [dropIns(ofMachine), dropIns(ofUser)];
  return {
    main: named === undefined ? (hasOwn ? ofUser : ofMachine) : fromText(named),
    directories: namedDirectory === undefined ? usual : [fromText(namedDirectory)],
    isNamed: named !== undefined,
  };
}

/** Aliases that podman has learnt from its user come before those that are configured. */
function withCachedAliases(files: LinuxFiles, environment: Environment, conf: RegistriesConf): RegistriesConf {
  const directory = environment.userId === 0 ? "/var/cache/containers" : `${homeOf(environment)}/.cache/containers`;
  const path = fromText(`${directory}/short-name-aliases.conf`);
  const bytes = readConfiguration(files, path);
  if (bytes === undefined) return conf;
  const { aliases } = parseFile(bytes, path, { allowsV1: false });
  return mergeRegistriesConf(conf, { ...emptyRegistriesConf, aliases });
}

function parseFile(bytes: Uint8Array, path: Path, options: { readonly allowsV1: boolean }): RegistriesConf {
  return parseRegistriesConf(decodeText(bytes), toText(path), options);
}
