import { type Command, Option } from "commander";
import { argumentBytes } from "../core/bytes/argument-text.ts";
import type { ByteString } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { ComposefsImagesRequest } from "../operations/composefs-info.ts";
import { repeatedOption } from "./options.ts";
import { usageLine, wrongWords } from "./words-error.ts";

/** The options of the commands that stand in for composefs-info, which takes all of them for every command. */
export interface InfoOptions {
  readonly filter: readonly string[];
  readonly basedir?: string;
}

/** Adds the argument for what the command reads, `--filter` and `--basedir`. */
export function addInfoOptions(
  command: Command,
  [argument, meaning]: readonly [string, string] = ["[images...]", "composefs image files"],
): Command {
  for (const option of infoOptions()) command.addOption(option);
  return command.argument(argument, meaning);
}

/**
 * The same options before the command's name, where composefs-info has them in its usage. Behind the name they are the
 * command's own.
 */
export function addLeadingOptions(group: Command): void {
  group.enablePositionalOptions();
  for (const option of infoOptions()) group.addOption(option.hideHelp());
}

/** @throws OsdeployError `usage` where such an option stands before a command that knows none, as mkcomposefs has it. */
export function refuseLeadingOptions(command: Command): void {
  const { filter = [], basedir } = leadingOptions(command);
  if (filter.length > 0 || basedir !== undefined) throw new OsdeployError("usage", usageLine(command));
}

function infoOptions(): readonly Option[] {
  return [
    repeatedOption("--filter <name>", "only this name in the root and what is below it"),
    new Option("--basedir <path>", "the object directory"),
  ];
}

function leadingOptions(command: Command): Partial<InfoOptions> {
  return command.parent?.opts<Partial<InfoOptions>>() ?? {};
}

/** What was typed before the command's name and behind it. */
function allOptions(own: InfoOptions, command: Command): InfoOptions {
  const { filter = [], basedir } = leadingOptions(command);
  return { ...(basedir !== undefined && { basedir }), ...own, filter: [...filter, ...own.filter] };
}

/**
 * The images that a command is given, and what is wanted of them.
 *
 * @throws OsdeployError `usage` when there is none; `bad-format` when a filter is a path, as composefs-info has it.
 */
export function readInfoWords(words: readonly string[], own: InfoOptions, command: Command): ComposefsImagesRequest {
  const options = allOptions(own, command);
  checkFilter(options);
  return {
    images: readPaths(words, "image path", command),
    filter: options.filter.map(argumentBytes),
    baseDirectory: options.basedir === undefined ? undefined : argumentBytes(options.basedir),
  };
}

/**
 * The files that a command is given, which knows neither filter nor base directory, but looks at the filter.
 *
 * @throws OsdeployError as {@link readInfoWords} does.
 */
export function readFileWords(words: readonly string[], own: InfoOptions, command: Command): readonly ByteString[] {
  checkFilter(allOptions(own, command));
  return readPaths(words, "files", command);
}

function checkFilter({ filter }: InfoOptions): void {
  const path = filter.find((name) => name.includes("/"));
  if (path === undefined) return;
  throw new OsdeployError("bad-format", argumentBytes(`Filter must be a single name: ${path}: Success`));
}

function readPaths(words: readonly string[], what: "image path" | "files", command: Command): readonly ByteString[] {
  if (words.length === 0) throw wrongWords(`No ${what} specified`, command);
  return words.map(argumentBytes);
}
