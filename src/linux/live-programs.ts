import { type ExecFileException, execFile, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { OsdeployError } from "../core/errors.ts";
import type { AsideOptions, LinuxPrograms, ProgramOptions, ProgramResult } from "./linux.ts";

/** What one program may print; nothing that osdeploy asks for comes near. */
const outputLimitBytes = 64 * 1024 * 1024;

const defaultLimitSeconds = 60;

/** Programs of this machine. */
export const livePrograms: Pick<LinuxPrograms, "run" | "runAside"> = { run, runAside };

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

function runAside(words: readonly [string, ...string[]], options: AsideOptions = {}): Promise<ProgramResult> {
  const [program, ...rest] = words;
  const { limitSeconds = defaultLimitSeconds, signal } = options;
  const how = {
    ...{ env: programEnvironment(options.environment), maxBuffer: outputLimitBytes, encoding: "buffer" as const },
    ...{ timeout: limitSeconds * 1000, killSignal: "SIGKILL" as const },
    ...(signal !== undefined && { signal }),
  };
  return new Promise((resolve, reject) => {
    const child = execFile(program, rest, how, (error, stdout, stderr) => {
      const status = error === null ? 0 : endOf(error);
      if (status !== undefined) resolve({ status, stdout, stderr: stderr.toString("utf8") });
      else if (signal?.aborted) reject(interrupted(program, error));
      else reject(programFailure(program, timedOut(error), limitSeconds));
    });
    // A program that does not read all of it says in other ways what it makes of that.
    child.stdin?.on("error", () => {});
    child.stdin?.end(options.input ?? new Uint8Array(0));
  });
}

/** The status of a program that ended by itself; undefined for one that was ended, or was none. */
function endOf({ code, signal, killed }: ExecFileException): number | undefined {
  if (typeof code === "number") return code;
  return signal && !killed ? statusOf({ status: null, signal }) : undefined;
}

/** Node says of a program that it ended itself for its time what it says of one that others ended. */
function timedOut(error: ExecFileException | null): Error {
  return error?.killed && error.code === null ? Object.assign(error, { code: "ETIMEDOUT" }) : (error ?? new Error());
}

function interrupted(program: string, cause: unknown): OsdeployError {
  return new OsdeployError("interrupted", `Cannot run ${program} to its end: it was interrupted`, { cause });
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
  // Directories of PATH are closed to this user, such as those of root, or what is there is no program.
  if (errno === "EACCES" && !program.includes("/")) {
    return new OsdeployError("not-found", `Cannot run ${program}: there is none that this user may run`, {
      cause: error,
    });
  }
  const state = errno === "ETIMEDOUT" ? `it did not end within ${limitSeconds} s` : error.message;
  return new OsdeployError("system", `Cannot run ${program}: ${state}`, { facts: { errno }, cause: error });
}
