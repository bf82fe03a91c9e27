import { spawnSync } from "node:child_process";
import { cpSync, readFileSync } from "node:fs";
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

/** The words that run a copy of the program, and of Node, in `directory`: a user may not look into root's home. */
export function copyProgram(directory: string): readonly string[] {
  const { dependencies } = JSON.parse(readFileSync(join(projectDir, "package.json"), "utf8"));
  const parts = ["dist", ...[...Object.keys(dependencies), "@koromix"].map((name) => join("node_modules", name))];
  for (const part of parts) cpSync(join(projectDir, part), join(directory, part), { recursive: true });
  cpSync(join(projectDir, "package.json"), join(directory, "package.json"));
  cpSync(process.execPath, join(directory, "node"));
  return [join(directory, "node"), join(directory, "dist/cli/main.js")];
}
