import { Command, CommanderError } from "commander";
import { type CommandRow, commandGroups } from "./command-table.ts";
import type { Frame } from "./frame.ts";
import { helpItem } from "./help-item.ts";
import { addGlobalOptions, type GlobalOptions } from "./options.ts";
import type { Voice } from "./output/error-text.ts";
import { version } from "./version.ts";
import { TextAsked, usageLine, wordsError } from "./words-error.ts";

/** The global options, and the words that may name a command; read before any command is loaded. */
export interface FirstLook {
  readonly options: GlobalOptions;
  readonly words: readonly string[];
}

/** @throws OsdeployError `usage` when a global option has a value that it cannot have. */
export function lookAt(argv: readonly string[]): FirstLook {
  // The last two can stand before a command's name as well: see `addLeadingOptions`. Whether they may is found out later.
  const scout = addGlobalOptions(new Command())
    .option("--filter [name]")
    .option("--basedir [path]")
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  try {
    const { operands } = scout.parseOptions([...argv]);
    return { options: scout.opts<GlobalOptions>(), words: operands };
  } catch (error) {
    throw wordsError(error, { name: "osdeploy", voice: "osdeploy", usage: "" });
  }
}

/**
 * The whole command line, with the definition of the one command that `words` name; the others are there by name and
 * summary, which is enough for the help. `"all"` defines every command.
 */
export async function buildProgram(
  words: readonly string[] | "all",
  frame: Frame,
  table: readonly CommandRow[],
): Promise<Command> {
  const program = prepare(addGlobalOptions(new Command("osdeploy")), frame, { way: ["osdeploy"] })
    .description(
      "Image-based operating systems on composefs: pull an OCI image, deploy it as a verified root, roll back.",
    )
    .version(version, "-V, --version", "print the version");
  const named = words === "all" ? undefined : table.find((row) => row.words.every((word, at) => words[at] === word));
  frame.voice = named?.voice ?? commandGroups[words[0] ?? ""]?.voice ?? "osdeploy";
  for (const row of table) {
    const command = addCommand(program, row, frame);
    if (words === "all" || row === named) (await row.load()).define(command, frame);
  }
  return program;
}

function addCommand(program: Command, row: CommandRow, frame: Frame): Command {
  let parent = program;
  for (const [at, word] of row.words.entries()) {
    const way = ["osdeploy", ...row.words.slice(0, at + 1)];
    const group = at + 1 < row.words.length ? commandGroups[word] : undefined;
    const { summary, voice } = group ?? row;
    const known = parent.commands.find((command) => command.name() === word);
    if (known === undefined) {
      parent = prepare(parent.command(word), frame, { way, voice }).summary(summary).description(asSentence(summary));
      group?.addOptions?.(parent);
    } else parent = known;
  }
  return parent;
}

function asSentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
}

/** What is wrong with the words beside those that ask for help: commander looks at none of them. */
function mistakeBesideHelp({ args, commands }: Command): CommanderError | undefined {
  const end = args.indexOf("--");
  for (const word of end < 0 ? args : args.slice(0, end)) {
    if (word === "-h" || word === "--help") continue;
    if (/^-./.test(word)) return mistake("commander.unknownOption", `unknown option '${word}'`);
    if (commands.some((command) => command.name() === word)) return undefined;
    if (commands.length > 0) return mistake("commander.unknownCommand", `unknown command '${word}'`);
  }
  return undefined;
}

function mistake(code: string, message: string): CommanderError {
  return new CommanderError(1, code, `error: ${message}`);
}

/** Turns commander's printing and exiting into values that are thrown, and evens out the help. */
function prepare(
  command: Command,
  frame: Frame,
  { way, voice = "osdeploy" }: { readonly way: readonly string[]; readonly voice?: Voice | undefined },
): Command {
  let written = "";
  return command
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .configureHelp({ ...helpItem, showGlobalOptions: true, subcommandTerm: (shown) => shown.name() })
    .configureOutput({
      writeOut: (text) => {
        written += text;
      },
      writeErr: () => undefined,
      outputError: () => undefined,
      getOutHelpWidth: () => Math.min(frame.io.stdout.columns(), 120),
      getOutHasColors: () => false,
    })
    .exitOverride((ended) => {
      const error = ended.code === "commander.helpDisplayed" ? mistakeBesideHelp(command) : ended;
      if (error === undefined || error.exitCode === 0) throw new TextAsked(written);
      throw wordsError(error, { name: way.join(" "), voice, usage: usageLine(command) });
    });
}
