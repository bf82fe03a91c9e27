import { fromText, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { type AuthFile, type Login, type LoginName, parseAuthFile, parseOldAuthFile } from "./auth-file.ts";
import { type Environment, homeOf, quotePath, readConfiguration, variableOf } from "./configuration-file.ts";
import { askHelper, type HelperSurroundings } from "./credential-helper.ts";

/** Where to look for a login. */
export interface LoginPlaces {
  /** The file of `--authfile`, instead of all others. */
  readonly explicit: Path | undefined;
  readonly environment: Environment;
  /** `credential-helpers` of registries.conf. */
  readonly helpers: readonly string[] | undefined;
  /** Ends a helper that is being asked. */
  readonly signal?: AbortSignal | undefined;
}

/** A file that may hold logins. */
interface AuthFilePath {
  readonly path: Path;
  /** Files of the machine that this user may not read hold nothing for him. */
  readonly isOfMachine: boolean;
  readonly isOld: boolean;
}

/** Stands for the login files in `credential-helpers` of registries.conf. */
const filesHelper = "containers-auth.json";
/** The name under which Docker keeps the login for its hub in a `credsStore`. */
const hubAddress = "https://index.docker.io/v1/";

/**
 * The login for a repository: of the first helper or file that has one.
 *
 * @throws OsdeployError `not-found` when the explicit file is missing, or a helper that is configured; `bad-format` for a
 * file that cannot be read; `unauthorized` when a helper fails.
 */
export async function findLogin(
  name: LoginName,
  linux: Pick<Linux, "files" | "programs">,
  places: LoginPlaces,
): Promise<Login | undefined> {
  const from = surroundings(linux, places);
  if (places.explicit !== undefined) return findInFiles(name, linux, places);
  for (const helper of places.helpers ?? [filesHelper]) {
    const asked = helper === filesHelper ? findInFiles(name, linux, places) : askHelper(helper, name.host, from);
    const found = await asked;
    if (found !== undefined) return found;
  }
  return undefined;
}

function surroundings({ programs }: Pick<Linux, "programs">, { environment, signal }: LoginPlaces): HelperSurroundings {
  return { programs, environment, signal };
}

async function findInFiles(
  name: LoginName,
  linux: Pick<Linux, "files" | "programs">,
  places: LoginPlaces,
): Promise<Login | undefined> {
  const from = surroundings(linux, places);
  for (const path of pathsFor(places)) {
    const file = readAuthFile(linux.files, path);
    if (file === undefined && places.explicit !== undefined) {
      throw new OsdeployError("not-found", `Cannot read the login file ${quotePath(path.path)}: there is no such file`);
    }
    const found = file === undefined ? undefined : await findInFile(file, name, from);
    if (found !== undefined) return found;
  }
  return undefined;
}

function pathsFor({ explicit, environment }: LoginPlaces): readonly AuthFilePath[] {
  return explicit === undefined ? authFilePaths(environment) : [{ path: explicit, isOfMachine: false, isOld: false }];
}

/**
 * Where login files lie, first to be asked first. `REGISTRY_AUTH_FILE` stands for all others.
 *
 * Those of podman, with the machine's own between the session's and the home directory's: a unit has no session, and
 * bootc's images put theirs in /etc/ostree or /usr/lib/ostree.
 */
export function authFilePaths(environment: Environment): readonly AuthFilePath[] {
  const variable = (name: string) => variableOf(environment, name);
  const own = (path: string) => ({ path: fromText(path), isOfMachine: false, isOld: false });
  const ofMachine = (path: string) => ({ path: fromText(path), isOfMachine: true, isOld: false });
  const single = variable("REGISTRY_AUTH_FILE");
  if (single !== undefined) return [own(single)];
  const home = homeOf(environment);
  const session = variable("XDG_RUNTIME_DIR");
  return [
    own(session === undefined ? `/run/containers/${environment.userId}/auth.json` : `${session}/containers/auth.json`),
    ofMachine("/run/osdeploy/auth.json"),
    ofMachine("/etc/osdeploy/auth.json"),
    ofMachine("/run/ostree/auth.json"),
    ofMachine("/etc/ostree/auth.json"),
    ofMachine("/usr/lib/ostree/auth.json"),
    own(`${variable("XDG_CONFIG_HOME") ?? `${home}/.config`}/containers/auth.json`),
    own(`${variable("DOCKER_CONFIG") ?? `${home}/.docker`}/config.json`),
    { ...own(`${home}/.dockercfg`), isOld: true },
  ];
}

function readAuthFile(files: LinuxFiles, { path, isOfMachine, isOld }: AuthFilePath): AuthFile | undefined {
  try {
    const bytes = readConfiguration(files, path);
    if (bytes === undefined) return undefined;
    return isOld ? parseOldAuthFile(bytes, toText(path)) : parseAuthFile(bytes, toText(path));
  } catch (error) {
    if (isOfMachine && error instanceof OsdeployError && error.code === "permission-denied") return undefined;
    throw error;
  }
}

async function findInFile(file: AuthFile, name: LoginName, from: HelperSurroundings): Promise<Login | undefined> {
  const helper = file.helperOf(name.host);
  if (helper !== undefined) return askHelper(helper, name.host, from);
  return (await findInStore(file, name, from)) ?? file.find(name);
}

/** A store that is not there is passed over: a config.json is often copied without the desktop that it was made on. */
async function findInStore(file: AuthFile, { host }: LoginName, from: HelperSurroundings): Promise<Login | undefined> {
  if (file.store === undefined) return undefined;
  try {
    return await askHelper(file.store, host === "docker.io" ? hubAddress : host, from);
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "not-found") return undefined;
    throw error;
  }
}
