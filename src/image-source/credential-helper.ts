import { Buffer } from "node:buffer";
import { OsdeployError } from "../core/errors.ts";
import { parseDocument } from "../core/oci/json.ts";
import { optionalText } from "../core/oci/json-place.ts";
import type { LinuxPrograms } from "../linux/linux.ts";
import type { Login } from "./auth-file.ts";
import type { Environment } from "./configuration-file.ts";

/** A helper that asks a person, or a key ring that is locked, answers nobody here. */
const limitSeconds = 30;
/** What of a helper's own words a message repeats. */
const textLimit = 200;
/** How helpers of Docker say that they hold nothing for a host. */
const notFoundText = "credentials not found in native keychain";

/** What a helper is run with. */
export interface HelperSurroundings {
  readonly programs: LinuxPrograms;
  readonly environment: Environment;
  /** Ends it. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Asks `docker-credential-NAME` for the credentials of `host`; undefined when it has none.
 *
 * The program gets this process's environment, as with podman: such programs talk to key rings and clouds, which they
 * find there.
 *
 * @throws OsdeployError `not-found` when there is no such program, `unauthorized` when it fails, `bad-format` for an
 * answer that is none. What it answered is never shown: it may hold the secret.
 * @see https://github.com/docker/docker-credential-helpers
 */
export async function askHelper(name: string, host: string, from: HelperSurroundings): Promise<Login | undefined> {
  const program = `docker-credential-${name}`;
  const what = `get the credentials for ${host} from ${program}`;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
    throw new OsdeployError("bad-format", `Cannot ask ${JSON.stringify(name)} for credentials: it is no helper's name`);
  }
  const { status, stdout } = await from.programs.runAside([program, "get"], {
    input: Buffer.from(host),
    environment: variablesOf(from.environment),
    limitSeconds,
    signal: from.signal,
  });
  if (status === 0) return parseAnswer(stdout, what);
  if (status > 128) throw new OsdeployError("interrupted", `Cannot ${what}: it was stopped`);
  const said = Buffer.from(stdout).toString("utf8").trim();
  if (said === notFoundText) return undefined;
  throw new OsdeployError("unauthorized", `Cannot ${what}: ${plain(said) || `it ended with status ${status}`}`);
}

function variablesOf({ variables }: Environment): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  );
}

function parseAnswer(stdout: Uint8Array, what: string): Login | undefined {
  const place = parseDocument(stdout, `the answer to "${what}"`);
  const user = optionalText(place, "Username");
  const secret = optionalText(place, "Secret");
  if (secret === undefined) return undefined;
  if (user === "<token>") return { kind: "identity-token", token: secret };
  return user === undefined ? undefined : { kind: "password", user, password: secret };
}

function plain(text: string): string {
  return text.replace(/[\p{Cc}"]+/gu, " ").slice(0, textLimit);
}
