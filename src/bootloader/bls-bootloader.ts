import { type BootEntry, type BootMenu, bootEntryFileName, isExhausted, sortedInto } from "../core/boot/boot-menu.ts";
import { OsdeployError } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { fileNamesOf, readBootEntries, removeEntryFiles, renameEntryFile, writeEntryFile } from "./bls-directory.ts";
import type { Bootloader } from "./bootloader.ts";

/**
 * The boot partition mounted at `boot`, where the files of `loader/entries` are all there is.
 *
 * systemd-boot counts by their names: `+3` becomes `+2-1`, an entry with `+0-3` sorts last, and a good boot takes the
 * counters away. With `none` nobody is known to count, so entries begin without counters.
 *
 * @see https://systemd.io/AUTOMATIC_BOOT_ASSESSMENT/
 */
export function blsBootloader(files: LinuxFiles, boot: Path, kind: "systemd-boot" | "none"): Bootloader {
  const countsTries = kind === "systemd-boot";
  const setTries = (sequence: number, choose: (entry: BootEntry) => BootEntry["tries"]) => {
    const entry = readBootEntries(files, boot).entries.find((each) => each.sequence === sequence);
    if (entry === undefined) return;
    const fileName = bootEntryFileName(sequence, choose(entry));
    if (fileName !== entry.fileName) renameEntryFile(files, boot, entry.fileName, fileName);
  };
  return {
    kind,
    countsTries,
    readMenu: () => readBootEntries(files, boot),
    addEntry: (entry) => {
      const menu = readBootEntries(files, boot);
      checkNumberFree(menu, entry);
      const added = sortedInto(menu, countsTries ? entry : withoutTries(entry));
      writeEntryFile(files, boot, added);
      return added;
    },
    removeEntries: (entries) => {
      const menu = readBootEntries(files, boot);
      const names = entries.flatMap(({ sequence }) => fileNamesOf(menu, sequence));
      removeEntryFiles(files, boot, [...new Set(names)]);
    },
    bless: ({ sequence }) => setTries(sequence, () => undefined),
    giveUp: ({ sequence }) => {
      setTries(sequence, (entry) => (isExhausted(entry) ? entry.tries : { left: 0, done: entry.tries?.done ?? 0 }));
      // The loader shows stale files too, and would start them.
      const menu = readBootEntries(files, boot);
      removeEntryFiles(
        files,
        boot,
        menu.stale.filter((name) => fileNamesOf(menu, sequence).includes(name)),
      );
    },
  };
}

/** The entry where nobody counts by file names. */
export function withoutTries(entry: BootEntry): BootEntry {
  return { ...entry, tries: undefined, fileName: bootEntryFileName(entry.sequence, undefined) };
}

/**
 * What `addEntry` begins with, whatever the loader. Numbers are given under the lock, so somebody else writes entries with our
 * names; the name of the file does not tell, because its counters may be others.
 *
 * @throws OsdeployError `already-exists`.
 */
export function checkNumberFree({ entries }: BootMenu, { sequence }: BootEntry): void {
  if (!entries.some((each) => each.sequence === sequence)) return;
  throw new OsdeployError("already-exists", `Cannot add a boot entry: there is one with number ${sequence} already`);
}
