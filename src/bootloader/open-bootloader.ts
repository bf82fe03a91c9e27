import { decodeText } from "../core/bytes/utf8.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { blsBootloader } from "./bls-bootloader.ts";
import type { Bootloader, BootloaderKind } from "./bootloader.ts";
import { findGrubDirectory, grubBootloader } from "./grub.ts";
import { readIfReadable } from "./small-file.ts";

/** Where the boot partition is mounted, and its loader where that is known. */
export interface BootPartition {
  readonly boot: Path;
  /** Looked for on the partition when not given. */
  readonly kind?: BootloaderKind | undefined;
}

/** The boot menu of a boot partition. Nothing is written before it is asked to change. */
export function openBootloader(files: LinuxFiles, { boot, kind }: BootPartition): Bootloader {
  const found = kind ?? detectBootloader(files, boot);
  return found === "grub" ? grubBootloader(files, boot) : blsBootloader(files, boot, found);
}

/**
 * Which loader a boot partition is for. What `install` wrote down comes first, because a disk may hold traces of others;
 * then what `bootctl install` leaves, then what `grub-install` leaves.
 */
export function detectBootloader(files: LinuxFiles, boot: Path): BootloaderKind {
  const noted = notedBootloader(files, boot);
  if (noted !== undefined) return noted;
  if (systemdBootTraces.some((path) => files.lstatIfExists(pathBelow(boot, path)))) return "systemd-boot";
  return findGrubDirectory(files, boot) === undefined ? "none" : "grub";
}

const kinds: readonly BootloaderKind[] = ["systemd-boot", "grub", "none"];

/** On the ESP, and on an extended boot partition, which has no loader of its own. */
const systemdBootTraces = ["EFI/systemd", "loader/loader.conf", "loader/entries.srel"];

/** Which loader `install` noted; undefined where it was not there, and where the note cannot be read: it says nothing then. */
export function notedBootloader(files: LinuxFiles, boot: Path): BootloaderKind | undefined {
  const note = decodeText(readIfReadable(files, bootloaderNotePath(boot))).trim();
  return kinds.find((kind) => kind === note);
}

/** The file in which `install` notes the loader. */
export function bootloaderNotePath(boot: Path): Path {
  return pathBelow(boot, "osdeploy/bootloader");
}
