import type { Argument, Command, Option } from "commander";
import { commandTable } from "../../src/cli/command-table.ts";
import { examplesOf } from "../../src/cli/examples.ts";
import { Frame } from "../../src/cli/frame.ts";
import { buildProgram } from "../../src/cli/program.ts";
import { FakeCliIo } from "../fakes/fake-cli-io.ts";

/** A page of the manual: its file name in `docs/reference/man`, and its text. */
export interface ManualPage {
  readonly file: string;
  readonly text: string;
}

/** The manual, one page for each command, as the commands' own definitions make it. */
export async function manual(): Promise<readonly ManualPage[]> {
  const program = await buildProgram("all", new Frame(new FakeCliIo(), { progress: "auto" }), commandTable);
  return commandTable.map((row) => {
    let command = program;
    for (const word of row.words) command = command.commands.find((child) => child.name() === word) ?? command;
    return { file: `osdeploy-${row.words.join("-")}.md`, text: page(row.words.join(" "), command, program) };
  });
}

function page(words: string, command: Command, program: Command): string {
  const name = `osdeploy ${words}`;
  const sections = [
    `# ${name}\n\n${sentence(command.summary())}`,
    `## Synopsis\n\n    ${name} ${command.usage()}`,
    `## Description\n\n${command.description()}`,
    section("Arguments", command.registeredArguments.map(argumentLine)),
    section("Options", command.options.map(optionLine)),
    section("Options of every command", program.options.map(optionLine)),
    section(
      "Examples",
      examplesOf(command).map(([line, meaning]) => `${sentence(meaning)}:\n\n    ${line}\n`),
    ),
    "## Exit status\n\nSee [exit-status.md](../exit-status.md).",
  ];
  return `${sections.filter((part) => part !== "").join("\n\n")}\n`;
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `## ${title}\n\n${lines.join("\n").trimEnd()}`;
}

function argumentLine(argument: Argument): string {
  return `- \`${argument.name()}\`: ${argument.description}`;
}

function optionLine(option: Option): string {
  const choices = option.argChoices === undefined ? "" : ` (one of ${option.argChoices.join(", ")})`;
  const shown = option.defaultValueDescription ?? option.defaultValue;
  const standard = shown === undefined || shown === false ? "" : ` (default: ${shown})`;
  return `- \`${option.flags}\`: ${option.description}${choices}${standard}`;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
