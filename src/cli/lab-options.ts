import { type Command, InvalidArgumentError, Option } from "commander";
import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { LabRunRequest } from "../operations/lab-run.ts";
import type { Frame } from "./frame.ts";
import { parseSize } from "./install-options.ts";
import { kernelArgumentOption, parsePath } from "./options.ts";

/** What all commands about the lab take. */
export interface LabWords {
  readonly lab?: ByteString;
}

/** `--lab DIR`. */
export function labOption(): Option {
  return new Option(
    "--lab <dir>",
    "where the machines are kept (default: /var/lib/osdeploy/lab for root, ~/.local/share/osdeploy/lab for others)",
  ).argParser(parsePath);
}

/** What a machine is made of. */
export interface MachineWords {
  readonly name?: string;
  readonly memory: number;
  readonly cpus: number;
  readonly diskSize: number;
  readonly karg: readonly string[];
  readonly sshKey?: ByteString;
  readonly bootloader: LabRunRequest["bootloader"];
}

/** Adds `--name`, `--memory`, `--cpus`, `--disk-size`, `--karg`, `--ssh-key` and `--bootloader`. */
export function addMachineOptions(command: Command): Command {
  return command
    .option("--name <name>", "the machine's name (default: made from the image's)")
    .addOption(new Option("--memory <size>", "the machine's memory").default(2 ** 31, "2G").argParser(parseSize))
    .addOption(new Option("--cpus <count>", "its processors").default(2).argParser(parseCount))
    .addOption(new Option("--disk-size <size>", "its disk").default(10 * 2 ** 30, "10G").argParser(parseSize))
    .addOption(kernelArgumentOption("a kernel argument"))
    .addOption(new Option("--ssh-key <file>", "public keys that may log in as root, too").argParser(parsePath))
    .addOption(
      new Option("--bootloader <name>", "the boot loader, which the image has to bring")
        .choices(["systemd-boot", "grub"])
        .default("systemd-boot"),
    );
}

/**
 * Refuses what was said of a new machine where none is made: it would be dropped without a word.
 *
 * @throws OsdeployError `usage`.
 */
export function refuseForOldMachine(command: Command): void {
  const kept = ["name", "lab"];
  const given = command.options
    .filter((option) => command.getOptionValueSource(option.attributeName()) === "cli")
    .filter((option) => !kept.includes(option.attributeName()));
  if (given.length === 0) return;
  const flags = given.map(({ long }) => long).join(", ");
  throw new OsdeployError(
    "usage",
    `Cannot use ${flags} without an image: a machine that is there stays as it was made`,
  );
}

/** The lab that is meant. @throws OsdeployError `usage` when nobody knows where it is. */
export function labOf({ lab }: LabWords, frame: Frame): ByteString {
  if (lab !== undefined) return lab;
  if (frame.io.uid === 0) return fromText("/var/lib/osdeploy/lab");
  const { XDG_DATA_HOME = "", HOME = "" } = frame.io.environment;
  const data = isAbsolute(XDG_DATA_HOME) ? XDG_DATA_HOME : HOME && `${HOME}/.local/share`;
  if (data !== "") return fromText(`${data}/osdeploy/lab`);
  throw new OsdeployError("usage", "Cannot find your lab: HOME is not set", {
    facts: { hint: "Name it with --lab DIR" },
  });
}

/** Others are to be ignored. @see https://specifications.freedesktop.org/basedir-spec/ */
function isAbsolute(directory: string): boolean {
  return directory.startsWith("/");
}

/** Where shared data lies on this machine. */
export function dataDirectories(frame: Frame): readonly string[] {
  const { XDG_DATA_DIRS } = frame.io.environment;
  return (XDG_DATA_DIRS || "/usr/local/share:/usr/share").split(":").filter(isAbsolute);
}

/** A whole number from 1 on. */
export function parseCount(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("it is no number from 1 to 9999.");
}
