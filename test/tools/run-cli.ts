import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { projectDir } from "./find-tool.ts";

/** How a program ended and what it said. */
export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, without standard input. Its output is read as latin1, so that bytes stay bytes. */
export function run(program: string, args: readonly string[], input = ""): Ended {
  const ended = spawnSync(program, args, { encoding: "latin1", input, maxBuffer: 2 ** 30 });
  if (ended.error !== undefined) throw ended.error;
  return ended;
}

/** The words that run the built `osdeploy` (`npm run build`), which is what users run. */
export function osdeployCommand(...args: readonly string[]): readonly [string, ...string[]] {
  return [process.execPath, join(projectDir, "dist/cli/main.js"), ...args];
}

/** Runs the built `osdeploy` and gives its standard output. */
export function osdeploy(...args: readonly string[]): string {
  const [program, ...words] = osdeployCommand(...args);
  const { status, stdout, stderr } = run(program, words);
  if (status !== 0) throw new Error(`osdeploy ${args.join(" ")} ended with status ${status}: ${stderr}`);
  return stdout;
}
