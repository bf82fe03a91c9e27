import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import { OsdeployError } from "../core/errors.ts";
import type { LinuxPrograms, ProgramOptions, ProgramResult } from "./linux.ts";

/** What one program may print; nothing that osdeploy asks for comes near. */
const outputLimitBytes = 64 * 1024 * 1024;

const defaultLimitSeconds = 60;

/** Programs of this machine. */
export const livePrograms: Pick<LinuxPrograms, "run"> = { run };

function run(words: readonly [string, ...string[]], options: ProgramOptions = {}): ProgramResult {
  const [program, ...rest] = words;
  const limitSeconds = options.limitSeconds ?? defaultLimitSeconds;
  const ended = spawnSync(program, rest, {
    input: options.input ?? new Uint8Array(0),
    env: programEnvironment(options.environment),
    maxBuffer: outputLimitBytes,
    timeout: limitSeconds * 1000,
    killSignal: "SIGKILL",
  });
  if (ended.error !== undefined) throw programFailure(program, ended.error, limitSeconds);
  return { status: statusOf(ended), stdout: ended.stdout, stderr: ended.stderr.toString("utf8") };
}

/** What a program sees of this process's environment, and `more`. */
export function programEnvironment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const { PATH = "/usr/sbin:/usr/bin:/sbin:/bin", HOME = "/" } = process.env;
  return { PATH, HOME, LC_ALL: "C", ...more };
}

/** The exit status as shells have it. */
export function statusOf({
  status,
  signal,
}: {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}): number {
  return status ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

/** Why a program could not be run to its end. */
export function programFailure(program: string, error: Error, limitSeconds = 0): OsdeployError {
  const errno = "code" in error ? String(error.code) : "";
  if (errno === "ENOENT") return new OsdeployError("not-found", `Cannot run ${program}: there is no such program`);
  const state = errno === "ETIMEDOUT" ? `it did not end within ${limitSeconds} s` : error.message;
  return new OsdeployError("system", `Cannot run ${program}: ${state}`, { facts: { errno }, cause: error });
}
