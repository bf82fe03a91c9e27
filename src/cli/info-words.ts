import type { Command } from "commander";
import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { ComposefsImagesRequest } from "../operations/composefs-info.ts";
import { repeatedOption } from "./options.ts";
import { wrongWords } from "./words-error.ts";

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
  return command
    .argument(argument, meaning)
    .addOption(repeatedOption("--filter <name>", "only this name in the root and what is below it"))
    .option("--basedir <path>", "the object directory");
}

/**
 * The images that a command is given, and what is wanted of them.
 *
 * @throws OsdeployError `usage` when there is none; `bad-format` when a filter is a path, as composefs-info has it.
 */
export function readInfoWords(
  words: readonly string[],
  options: InfoOptions,
  command: Command,
): ComposefsImagesRequest {
  checkFilter(options);
  return {
    images: readPaths(words, "image path", command),
    filter: options.filter.map(fromText),
    baseDirectory: options.basedir === undefined ? undefined : fromText(options.basedir),
  };
}

/**
 * The files that a command is given, which knows neither filter nor base directory, but looks at the filter.
 *
 * @throws OsdeployError as {@link readInfoWords} does.
 */
export function readFileWords(words: readonly string[], options: InfoOptions, command: Command): readonly ByteString[] {
  checkFilter(options);
  return readPaths(words, "files", command);
}

function checkFilter({ filter }: InfoOptions): void {
  const path = filter.find((name) => name.includes("/"));
  if (path === undefined) return;
  throw new OsdeployError("bad-format", fromText(`Filter must be a single name: ${path}: Success`));
}

function readPaths(words: readonly string[], what: "image path" | "files", command: Command): readonly ByteString[] {
  if (words.length === 0) throw wrongWords(`No ${what} specified`, command);
  return words.map(fromText);
}
