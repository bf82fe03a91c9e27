import type { ObjectId } from "../digest/object-id.ts";
import type { BlsEntry } from "./bls-entry.ts";
import { blsOptions } from "./bls-entry.ts";
import { rootImageOfCmdline } from "./kernel-cmdline.ts";
import type { OsRelease } from "./os-release.ts";

/** How often the loader may still start an entry that has not proved itself, and how often it did. */
export interface BootTries {
  readonly left: number;
  readonly done: number;
}

/** A boot entry that osdeploy wrote. The highest sequence number boots, of those that have tries left or need none. */
export interface BootEntry {
  /** The file's name in `loader/entries`. */
  readonly fileName: string;
  readonly sequence: number;
  readonly rootImage: ObjectId;
  /** Undefined once a boot of it was good, and where the loader does not count. */
  readonly tries: BootTries | undefined;
  readonly entry: BlsEntry;
}

/** The boot menu as it lies on the boot partition: ours, newest first, and the names of the others, left alone. */
export interface BootMenu {
  readonly entries: readonly BootEntry[];
  readonly foreign: readonly string[];
}

/** `osdeploy-000012.conf`, or with the loader's counters of tries left and done: `osdeploy-000012+2-1.conf`. */
const entryName = /^osdeploy-(\d{6,15})(?:\+(\d{1,9})(?:-(\d{1,9}))?)?\.conf$/;

/** Sorts the files of `loader/entries`, given by name and parsed content, into ours and others'. */
export function readBootMenu(files: readonly { readonly fileName: string; readonly entry: BlsEntry }[]): BootMenu {
  const entries: BootEntry[] = [];
  const foreign: string[] = [];
  for (const { fileName, entry } of files) {
    const [, sequence, left, done = "0"] = entryName.exec(fileName) ?? [];
    const rootImage = rootImageOfCmdline(blsOptions(entry));
    if (sequence === undefined || rootImage === undefined) foreign.push(fileName);
    else {
      const tries = left === undefined ? undefined : { left: Number(left), done: Number(done) };
      entries.push({ fileName, sequence: Number(sequence), rootImage: rootImage as ObjectId, tries, entry });
    }
  }
  return { entries: entries.sort((a, b) => b.sequence - a.sequence), foreign: foreign.sort() };
}

/** The number that the next entry gets: above all that are there. */
export function nextSequence(menu: BootMenu): number {
  return (menu.entries[0]?.sequence ?? 0) + 1;
}

/** The file of an entry in `loader/entries`; its name carries the counters, as systemd-boot has it. */
export function bootEntryFileName(sequence: number, tries: BootTries | undefined): string {
  const done = tries === undefined || tries.done === 0 ? "" : `-${tries.done}`;
  const counters = tries === undefined ? "" : `+${tries.left}${done}`;
  return `osdeploy-${String(sequence).padStart(6, "0")}${counters}.conf`;
}

/** Whether the loader has given an entry up: all its tries are used, and none was good. */
export function isExhausted({ tries }: Pick<BootEntry, "tries">): boolean {
  return tries?.left === 0;
}

/** What boots next: the highest sequence number that is not given up; the highest of all when all are. */
export function defaultEntry({ entries }: BootMenu): BootEntry | undefined {
  return entries.find((entry) => !isExhausted(entry)) ?? entries[0];
}

/** What a new boot entry is made from. Paths are as the loader sees them: from the top of the boot partition. */
export interface NewBootEntry {
  readonly sequence: number;
  readonly rootImage: ObjectId;
  readonly osRelease: OsRelease;
  readonly kernelPath: string;
  readonly initramfsPath: string;
  readonly options: string;
  /** How often it may be tried before the loader gives it up; undefined for no counting. */
  readonly tries?: number | undefined;
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
  const tries = made.tries === undefined ? undefined : { left: made.tries, done: 0 };
  return { fileName: bootEntryFileName(sequence, tries), sequence, rootImage, tries, entry: { fields } };
}
