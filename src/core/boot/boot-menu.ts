import type { ObjectId } from "../digest/object-id.ts";
import type { BlsEntry } from "./bls-entry.ts";
import { blsOptions } from "./bls-entry.ts";
import { rootImageOfCmdline } from "./kernel-cmdline.ts";
import type { OsRelease } from "./os-release.ts";

/** A boot entry that osdeploy wrote. The highest sequence number boots. */
export interface BootEntry {
  /** The file's name in `loader/entries`. */
  readonly fileName: string;
  readonly sequence: number;
  readonly rootImage: ObjectId;
  readonly entry: BlsEntry;
}

/** The boot menu as it lies on the boot partition: ours, newest first, and the names of the others, left alone. */
export interface BootMenu {
  readonly entries: readonly BootEntry[];
  readonly foreign: readonly string[];
}

/** `osdeploy-000012.conf`, or with the loader's counters of tries left and done: `osdeploy-000012+2-1.conf`. */
const entryName = /^osdeploy-(\d{6,15})(?:\+\d+(?:-\d+)?)?\.conf$/;

/** Sorts the files of `loader/entries`, given by name and parsed content, into ours and others'. */
export function readBootMenu(files: readonly { readonly fileName: string; readonly entry: BlsEntry }[]): BootMenu {
  const entries: BootEntry[] = [];
  const foreign: string[] = [];
  for (const { fileName, entry } of files) {
    const sequence = entryName.exec(fileName)?.[1];
    const rootImage = rootImageOfCmdline(blsOptions(entry));
    if (sequence === undefined || rootImage === undefined) foreign.push(fileName);
    else entries.push({ fileName, sequence: Number(sequence), rootImage: rootImage as ObjectId, entry });
  }
  return { entries: entries.sort((a, b) => b.sequence - a.sequence), foreign: foreign.sort() };
}

/** The number that the next entry gets: above all that are there. */
export function nextSequence(menu: BootMenu): number {
  return (menu.entries[0]?.sequence ?? 0) + 1;
}

/** What a new boot entry is made from. Paths are as the loader sees them: from the top of the boot partition. */
export interface NewBootEntry {
  readonly sequence: number;
  readonly rootImage: ObjectId;
  readonly osRelease: OsRelease;
  readonly kernelPath: string;
  readonly initramfsPath: string;
  readonly options: string;
}

/**
 * The boot entry of a new deployment.
 *
 * Loaders sort by `sort-key` and then by `version`, highest first (systemd-boot), or by file name (GRUB): both carry the
 * sequence number, so the newest entry is the default for either.
 */
export function makeBootEntry(made: NewBootEntry): BootEntry {
  const { sequence, rootImage, osRelease } = made;
  const version = osRelease.version === "" ? `${sequence}` : `${sequence}-${osRelease.version}`;
  const fields = [
    { key: "title", value: osRelease.prettyName },
    { key: "version", value: version },
    { key: "sort-key", value: "osdeploy" },
    { key: "linux", value: made.kernelPath },
    { key: "initrd", value: made.initramfsPath },
    { key: "options", value: made.options },
  ];
  return { fileName: `osdeploy-${String(sequence).padStart(6, "0")}.conf`, sequence, rootImage, entry: { fields } };
}
