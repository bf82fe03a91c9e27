import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { toBytes } from "../core/bytes/byte-string.ts";
import type { AttachOptions, LinuxPrograms, StartedProgram, StartOptions } from "./linux.ts";
import { programEnvironment, programFailure, statusOf } from "./live-programs.ts";

/** Programs that go on beside this one, or have its terminal. */
export const liveProcesses: Omit<LinuxPrograms, "run" | "runAside"> = { attach, start, isRunning, signal };

type Words = readonly [string, ...string[]];

function attach([program, ...rest]: Words, { output = "stdout", signal }: AttachOptions = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    // With all of the environment: a program at somebody's terminal asks for TERM and much more.
    const child = spawn(program, rest, { stdio: ["inherit", output === "stdout" ? 1 : 2, 2] });
    child.on("error", (error) => reject(programFailure(program, error)));
    const end = (): void => void child.kill();
    signal?.addEventListener("abort", end);
    child.on("close", (status, killedBy) => {
      signal?.removeEventListener("abort", end);
      resolve(statusOf({ status, signal: killedBy }));
    });
  });
}

function start([program, ...rest]: Words, options: StartOptions): StartedProgram {
  const output = openSync(Buffer.from(toBytes(options.output)), "a", 0o600);
  try {
    const env = programEnvironment(options.environment);
    const child = spawn(program, rest, { detached: true, stdio: ["ignore", output, output], env });
    let failure: Error | undefined;
    child.on("error", (error) => {
      failure = error;
    });
    child.unref();
    if (child.pid === undefined) {
      // Node tells the cause later; in all cases seen it is that the program cannot be found.
      throw programFailure(program, failure ?? Object.assign(new Error("it cannot be started"), { code: "ENOENT" }));
    }
    return { pid: child.pid, startTicks: processStat(child.pid)?.startTicks ?? 0 };
  } finally {
    closeSync(output);
  }
}

function isRunning({ pid, startTicks }: StartedProgram): boolean {
  const stat = processStat(pid);
  return stat !== undefined && stat.startTicks === startTicks && !["Z", "X"].includes(stat.state);
}

function signal(program: StartedProgram, name: "SIGTERM" | "SIGKILL"): boolean {
  if (!isRunning(program)) return false;
  try {
    process.kill(program.pid, name);
    return true;
  } catch {
    // It ended between the two looks.
    return false;
  }
}

/** @see proc_pid_stat(5): the name in parentheses may hold anything; state is field 3, starttime field 22 */
function processStat(pid: number): { readonly state: string; readonly startTicks: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", startTicks: Number(fields[19]) };
  } catch {
    return undefined;
  }
}
