import { type Command, InvalidArgumentError, Option } from "commander";
import type { ByteString } from "../core/bytes/byte-string.ts";
import { parseImageReference } from "../core/oci/reference.ts";
import type { InstallRequest, InstallToDiskRequest } from "../operations/install-to-disk.ts";
import type { Frame } from "./frame.ts";
import { kernelArgumentOption, parsePath } from "./options.ts";
import { addSourceOptions, imageHelp, type SourceWords, sourceRequest } from "./source-options.ts";

/** What every kind of installation can be told. The names are bootc's where it has the same. */
export interface InstallWords extends SourceWords {
  readonly sourceImgref: string;
  readonly targetImgref?: string;
  readonly karg: readonly string[];
  readonly bootloader: InstallRequest["bootloader"];
  readonly rootSshAuthorizedKeys?: ByteString;
  readonly allowMissingVerity?: true;
}

const loaders: readonly InstallRequest["bootloader"][] = ["systemd-boot", "grub", "none"];

/** Adds `--source-imgref`, `--target-imgref`, `--karg`, `--bootloader` and the others that every installation takes. */
export function addInstallOptions(command: Command): Command {
  command
    .requiredOption("--source-imgref <image>", imageHelp)
    .option(
      "--target-imgref <image>",
      "what the installed system follows for upgrades, with paths as that one has them (default: the source)",
    )
    .addOption(kernelArgumentOption("a kernel argument"))
    .addOption(
      new Option("--bootloader <name>", "the boot loader, which the image has to bring; none: only write the entries")
        .choices(loaders)
        .default("systemd-boot"),
    )
    .addOption(
      new Option("--root-ssh-authorized-keys <file>", "let root log in by ssh with the keys in this file").argParser(
        parsePath,
      ),
    )
    .option("--allow-missing-verity", "install even where nothing can check files when they are read");
  return addSourceOptions(command);
}

/** The part of a request that every installation has. */
export function installRequest(words: InstallWords, frame: Frame): InstallRequest {
  return {
    ...sourceRequest(words.sourceImgref, words, frame),
    targetImage: words.targetImgref === undefined ? undefined : parseImageReference(words.targetImgref),
    kernelArguments: words.karg,
    bootloader: words.bootloader,
    rootKeys: words.rootSshAuthorizedKeys,
    allowMissingVerity: words.allowMissingVerity === true,
  };
}

/** What `to-disk` can be told besides. */
export interface ToDiskWords extends InstallWords {
  readonly wipe?: true;
  readonly filesystem: RootFileSystem;
  readonly format: InstallToDiskRequest["format"];
  readonly size?: number;
  readonly rootSize?: number;
  readonly bootSize: number;
  readonly espSize?: number;
  readonly randomUuids?: true;
}

type RootFileSystem = NonNullable<InstallToDiskRequest["fileSystem"]>;
const fileSystems: readonly RootFileSystem[] = ["ext4", "btrfs", "xfs"];
const formats: readonly InstallToDiskRequest["format"][] = ["raw", "qcow2"];

/** Adds the options of {@link addInstallOptions}, and those about disks. */
export function addDiskOptions(command: Command): Command {
  return addInstallOptions(command)
    .option("--wipe", "take a disk or a file that holds something: all that is on it is lost")
    .addOption(
      new Option("--filesystem <type>", "the root file system; btrfs and xfs need root, and xfs --allow-missing-verity")
        .choices(fileSystems)
        .default("ext4"),
    )
    .addOption(new Option("--format <format>", "what a file is to be").choices(formats).default("raw"))
    .addOption(
      new Option("--size <size>", "the size of a new file, such as 20G (default: enough)").argParser(parseSize),
    )
    .addOption(new Option("--root-size <size>", "the size of the root partition (default: all)").argParser(parseSize))
    .addOption(
      new Option("--boot-size <size>", "the size of the boot partition").default(2 ** 29, "512M").argParser(parseSize),
    )
    .addOption(
      new Option(
        "--esp-size <size>",
        "make an EFI system partition of this size for the loader alone, such as 64M, and the boot partition an extended one (XBOOTLDR)",
      ).argParser(parseSize),
    )
    .option("--random-uuids", "make the UUIDs of a file by chance");
}

/** The whole request to make a disk. */
export function diskRequest(target: ByteString, words: ToDiskWords, frame: Frame): InstallToDiskRequest {
  return {
    ...installRequest(words, frame),
    target,
    wipe: words.wipe === true,
    fileSystem: words.filesystem,
    format: words.format,
    diskBytes: words.size,
    bootBytes: words.bootSize,
    espBytes: words.espSize,
    rootBytes: words.rootSize,
    randomUuids: words.randomUuids === true,
  };
}

const units: Readonly<Record<string, number>> = { "": 20, K: 10, M: 20, G: 30, T: 40 };

/** A size with K, M, G or T for powers of 1024; in MiB without, as bootc takes it. In bytes. */
export function parseSize(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,9})([KMGT]?)$/.exec(text) ?? [];
  const bytes = Number(digits) * 2 ** (units[unit] ?? 0);
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  throw new InvalidArgumentError("it is no size such as 512M or 20G.");
}
