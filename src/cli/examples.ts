import type { Command } from "commander";

/** A command as one would type it, and what it does. */
export type Example = readonly [line: string, meaning: string];

const examples = new WeakMap<Command, readonly Example[]>();

/** Adds examples to the help of `command`, and to its manual page. */
export function addExamples(command: Command, list: readonly Example[]): Command {
  examples.set(command, list);
  const lines = list.map(([line, meaning]) => `  # ${meaning}\n  ${line}\n`);
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

/** The examples of `command`. */
export function examplesOf(command: Command): readonly Example[] {
  return examples.get(command) ?? [];
}
