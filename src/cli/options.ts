import { type Command, InvalidArgumentError, Option } from "commander";
import { argumentBytes } from "../core/bytes/argument-text.ts";
import { type ByteString, fromText, toText } from "../core/bytes/byte-string.ts";
import type { VerityAlgorithm } from "../core/digest/object-id.ts";
import { type ProgressMode, progressModes } from "./output/progress.ts";

/** Options that every command takes, before or after its name. */
export interface GlobalOptions {
  readonly verbose?: true;
  readonly quiet?: true;
  readonly json?: true;
  readonly progress: ProgressMode;
}

/** Adds the options that every command takes. */
export function addGlobalOptions(program: Command): Command {
  return program
    .option("--json", "print the result as one JSON document on standard output")
    .option("-v, --verbose", "show more: all details of a plan, the facts and causes behind an error")
    .option("-q, --quiet", "show no progress; warnings and errors stay")
    .addOption(
      new Option("--progress <mode>", "how progress is shown on standard error; json prints one object a line")
        .choices(progressModes)
        .default("auto"),
    );
}

/** A path as it was typed; relative paths start at the working directory. */
export function parsePath(text: string): ByteString {
  if (text === "") throw new InvalidArgumentError("it is empty.");
  return argumentBytes(text);
}

/** `--repo DIR`; without it the command takes the system's repo, or for a user without root's rights their own. */
export function repoOption(): Option {
  return new Option(
    "--repo <dir>",
    "the repo to use (default: /sysroot/composefs for root, ~/.var/lib/composefs for others)",
  ).argParser(parsePath);
}

/** `--sysroot DIR`. */
export function sysrootOption(): Option {
  return new Option("--sysroot <dir>", "the physical root that holds the repo and all deployments")
    .default(fromText("/sysroot"), "/sysroot")
    .argParser(parsePath);
}

/** The command that makes room in `sysroot`: that of this machine takes deployments of another system away. */
export function gcCommand(sysroot: ByteString): string {
  return sysroot === "/sysroot" ? "osdeploy gc" : `osdeploy gc --sysroot ${toText(sysroot)}`;
}

/** `--fsverity-algorithm`, the digest that names the objects. */
export function algorithmOption(): Option {
  const choices: readonly VerityAlgorithm[] = ["sha512", "sha256"];
  return new Option("--fsverity-algorithm <name>", "the digest that names the repo's objects")
    .choices(choices)
    .default("sha512");
}

/** `true`, `false`, `1` or `0`, as podman's options take it. */
export function parseBoolean(text: string): boolean {
  if (text === "true" || text === "1") return true;
  if (text === "false" || text === "0") return false;
  throw new InvalidArgumentError("it is neither true nor false.");
}

/** An option that can be given again; its value is a list of what `parse` makes of the words. */
export function repeatedOption(
  flags: string,
  description: string,
  parse: (word: string) => string = (word) => word,
): Option {
  return new Option(flags, `${description}; can be given again`)
    .default([], "none")
    .argParser((word: string, before: readonly string[]) => [...before, parse(word)]);
}

/** `--karg ARGUMENT`. */
export function kernelArgumentOption(description: string): Option {
  return repeatedOption("--karg <argument>", description, parseKernelArgument);
}

/** A double quote that is open would take the arguments after it into this one. */
function parseKernelArgument(word: string): string {
  if (refuseEmpty(word).split('"').length % 2 === 0) throw new InvalidArgumentError("it leaves a double quote open.");
  return word;
}

/** For words that mean something; a variable that is not set is none. */
export function refuseEmpty(word: string): string {
  if (word.trim() === "") throw new InvalidArgumentError("it is empty.");
  return word;
}

/** What most commands about one image take. */
export interface ImageOptions {
  readonly repo?: ByteString;
  readonly bootable?: true;
}

/** What an argument says that names an image in the repo. */
export const imageWords =
  "an image in the repo: its tag, the reference it was pulled by, or its manifest's digest, of which the beginning is enough";

/** Adds the argument `<image>`, `--repo` and `--bootable`. */
export function addImageOptions(command: Command): Command {
  return command
    .argument("<image>", imageWords)
    .addOption(repoOption())
    .option("--bootable", "take the tree that boots: with SELinux labels, and with /boot and /sysroot emptied");
}
