import type { Command } from "commander";
import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { ComposefsImagesRequest } from "../operations/composefs-info.ts";
import { repeatedOption } from "./options.ts";
import { wrongWords } from "./words-error.ts";

/** The options of the commands that stand in for composefs-info. */
export interface InfoOptions {
  readonly filter: readonly string[];
  readonly basedir?: string;
}

/** Adds the argument `[images...]`, and `--filter`, which composefs-info takes for every command. */
export function addInfoOptions(command: Command): Command {
  return command
    .argument("[images...]", "composefs image files")
    .addOption(repeatedOption("--filter <name>", "only this name in the root and what is below it"));
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
  const path = options.filter.find((name) => name.includes("/"));
  if (path !== undefined) throw new OsdeployError("bad-format", `Filter must be a single name: ${path}: Success`);
  return { images: readPaths(words, "image path", command), filter: options.filter.map(fromText) };
}

/** The files that a command is given. @throws OsdeployError `usage` when there is none. */
export function readPaths(
  words: readonly string[],
  what: "image path" | "files",
  command: Command,
): readonly ByteString[] {
  if (words.length === 0) throw wrongWords(`No ${what} specified`, command);
  return words.map(fromText);
}
