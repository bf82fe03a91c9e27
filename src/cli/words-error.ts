import { type Command, CommanderError } from "commander";
import { OsdeployError } from "../core/errors.ts";
import type { Voice } from "./output/error-text.ts";

/** Thrown where the words asked for help or the version: nothing is wrong, `text` is the answer. */
export class TextAsked extends Error {
  readonly text: string;

  constructor(text: string) {
    super("Text was asked for");
    this.text = text;
  }
}

/** The command whose words are wrong. */
export interface WrongCommand {
  /** `osdeploy image ls` */
  readonly name: string;
  readonly voice: Voice;
  /** The line that says how it is called. */
  readonly usage: string;
}

/** What the words of a command got wrong, from commander's error about it. */
export function wordsError(error: unknown, { name, voice, usage }: WrongCommand): unknown {
  if (!(error instanceof CommanderError)) return error;
  const text = error.message
    .replace(/^error: /, "")
    .replace(/\s*\n/g, " ")
    // The state that an option's parser tells, which begins in lower case.
    .replace(/ is invalid\. (?=[a-z])/, " is invalid: ")
    .replace(/\.$/, "");
  if (voice === "mkcomposefs") return new OsdeployError("usage", wordsOfMkcomposefs(error, usage));
  if (voice !== "osdeploy") {
    // After a command that it does not know composefs-info has an empty line, and no usage.
    const below = error.code === "commander.unknownCommand" ? "" : usage;
    return new OsdeployError("usage", `${foreignText(error, text, voice)}\n${below}`);
  }
  const state = error.code === "commander.help" ? "no command is named" : text;
  return new OsdeployError("usage", `Cannot run ${name}: ${state}`, { facts: { hint: `See: ${name} --help` } });
}

/** mkcomposefs tells what is wrong with an option only where its value is missing; there it leaves out the usage. */
function wordsOfMkcomposefs({ code }: CommanderError, usage: string): string {
  return code === "commander.optionMissingArgument" ? "option needs a value" : usage;
}

/** composefs-info reads its words with getopt and has texts of its own. */
function foreignText(error: CommanderError, text: string, voice: Voice): string {
  const word = wrongWord(error.message);
  switch (error.code) {
    case "commander.help":
      return "No command specified";
    case "commander.unknownCommand":
      return `${voice}: Unknown command '${word}'`;
    case "commander.unknownOption":
      if (!word.startsWith("--")) return `${voice}: invalid option -- '${[...word][1]}'`;
      return `${voice}: unrecognized option '${word}'`;
    case "commander.optionMissingArgument":
      return `${voice}: option '${word.split(" ")[0]}' requires an argument`;
    default:
      return `${voice}: ${text}`;
  }
}

/** The word in quotes that commander tells of, whatever is in it; commander may guess below what was meant. */
function wrongWord(message: string): string {
  return /'(.*)'(?: argument missing)?(?:\n\(Did you mean [^']*\))?$/s.exec(message)?.[1] ?? "";
}

/** The line of the help that says how a command is called. */
export function usageLine(command: Command): string {
  return command.helpInformation().split("\n", 1)[0] ?? "";
}

/** Words that commander let pass, in another program's text, with how the command is called. */
export function wrongWords(text: string, command: Command): OsdeployError {
  return new OsdeployError("usage", `${text}\n${usageLine(command)}`);
}
