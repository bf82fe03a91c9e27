import type { BootEntry, BootMenu } from "../core/boot/boot-menu.ts";
import {
  emptyGrubEnvironment,
  formatGrubEnvironment,
  type GrubEnvironment,
  parseGrubEnvironment,
  withGrubVariables,
} from "../core/boot/grub-environment.ts";
import {
  formatGrubMenu,
  type GrubEntryTries,
  grubTriesLimit,
  grubTriesVariable,
  parseGrubMenu,
} from "../core/boot/grub-menu.ts";
import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import { decodeText, encodeText } from "../core/bytes/utf8.ts";
import { unlessFailing } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { checkNumberFree, withoutTries } from "./bls-bootloader.ts";
import { fileNamesOf, readBootEntries, removeEntryFiles, writeEntryFile } from "./bls-directory.ts";
import type { Bootloader } from "./bootloader.ts";
import { commitFile } from "./commit-file.ts";
import { readIfReadable } from "./small-file.ts";

/**
 * The directory of GRUB's files on a boot partition; undefined when it has none. Fedora calls it `grub2`. Of two the one
 * that has our menu counts.
 */
export function findGrubDirectory(files: LinuxFiles, boot: Path): Path | undefined {
  const directories = ["grub", "grub2"].map((name) => pathBelow(boot, name));
  const has = (...names: readonly string[]) =>
    directories.find((directory) => names.some((name) => files.lstatIfExists(pathBelow(directory, name))));
  return has("osdeploy.cfg") ?? has("grub.cfg", "grubenv");
}

/**
 * GRUB on the boot partition mounted at `boot`. The entries are the files of `loader/entries`; GRUB reads `osdeploy.cfg`,
 * which is made from them and whose rename commits: an entry that it does not name was never finished. Tries are counted in
 * GRUB's environment block.
 */
export function grubBootloader(files: LinuxFiles, boot: Path): Bootloader {
  const grub: Grub = { files, boot, directory: findGrubDirectory(files, boot) ?? pathBelow(boot, "grub") };
  return {
    kind: "grub",
    get countsTries() {
      return sourcesMenu(grub);
    },
    readMenu: () => readMenu(grub).menu,
    addEntry: (entry) => addEntry(grub, entry),
    removeEntries: (entries) =>
      removeEntries(
        grub,
        entries.map(({ sequence }) => sequence),
      ),
    bless: ({ sequence }) => setTries(grub, new Map([[sequence, undefined]])),
    giveUp: ({ sequence }) => {
      const isThere = readMenu(grub).menu.entries.some((entry) => entry.sequence === sequence);
      if (isThere) setTries(grub, new Map([[sequence, 0]]));
    },
  };
}

interface Grub {
  readonly files: LinuxFiles;
  readonly boot: Path;
  readonly directory: Path;
}

/**
 * Whether GRUB's own configuration takes up our menu: `install` writes it so, and Debian's sources `custom.cfg`. One that
 * cannot be read promises nothing: entries are not counted then, as where GRUB does not source the menu.
 */
function sourcesMenu({ files, directory }: Grub): boolean {
  return ["grub.cfg", "custom.cfg"].some((name) => {
    const bytes = readIfReadable(files, pathBelow(directory, name));
    return bytes !== undefined && decodeText(bytes).includes("osdeploy.cfg");
  });
}

interface GrubMenu {
  readonly menu: BootMenu;
  /** Of all entries of the menu: what `osdeploy.cfg` has to say of them. */
  readonly tries: GrubEntryTries;
  /** Whether there is a whole `osdeploy.cfg`; without it all entries count. */
  readonly isWritten: boolean;
  /** Files of entries that `osdeploy.cfg` does not name: never finished, or half removed. */
  readonly unfinished: readonly string[];
}

function readMenu(grub: Grub): GrubMenu {
  const read = readBootEntries(grub.files, grub.boot);
  const { entries, stale } = read;
  // GRUB cannot read it either; the next change writes it anew.
  const bytes = readIfReadable(grub.files, menuPath(grub));
  const written = bytes === undefined ? undefined : parseGrubMenu(decodeText(bytes));
  const environment = readEnvironment(grub);
  const { variables } = environment ?? emptyGrubEnvironment;
  const wasCounting = [...(written?.values() ?? [])].some((tries) => tries !== undefined);
  const counts = ({ sequence }: BootEntry) => written === undefined || written.has(sequence);
  const unfinished = entries.filter((entry) => !counts(entry)).map(({ fileName }) => fileName);
  const counted = entries.filter(counts).map((entry) => {
    const left = parseTries(variables.get(triesVariable(entry.sequence)));
    if (left === undefined) return { ...entry, tries: undefined };
    return { ...entry, tries: { left, done: Math.max(0, (written?.get(entry.sequence) ?? left) - left) } };
  });
  return {
    menu: {
      ...read,
      entries: counted,
      stale: [...stale, ...unfinished].sort(),
      ...(wasCounting && environment === undefined && { areTriesLost: true as const }),
    },
    // Whoever is counted has to have cases in the script, also where the old one is lost.
    tries: new Map(counted.map(({ sequence, tries }) => [sequence, written?.get(sequence) ?? limited(tries?.left)])),
    isWritten: written !== undefined,
    unfinished,
  };
}

function limited(tries: number | undefined): number | undefined {
  return tries === undefined ? undefined : Math.min(tries, grubTriesLimit);
}

function parseTries(value: ByteString | undefined): number | undefined {
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}

/** The block; undefined where there is none, or none that GRUB would read. */
function readEnvironment({ files, directory }: Grub): GrubEnvironment | undefined {
  const bytes = readIfReadable(files, pathBelow(directory, "grubenv"));
  return unlessFailing(() => (bytes === undefined ? undefined : parseGrubEnvironment(bytes)));
}

/** Entry file, tries, and last the menu: its rename commits. */
function addEntry(grub: Grub, entry: BootEntry): BootEntry {
  const { files, boot } = grub;
  const { menu, tries, isWritten, unfinished } = readMenu(grub);
  checkNumberFree(menu, entry);
  // Without a menu every entry file counts: the first one must not before it is finished.
  if (!isWritten) commitMenu(grub, menu.entries, tries);
  removeEntryFiles(files, boot, unfinished);
  const file = withoutTries(entry);
  writeEntryFile(files, boot, file);
  const left = sourcesMenu(grub) ? limited(entry.tries?.left) : undefined;
  setTries(grub, new Map([[entry.sequence, left]]));
  const entries = [file, ...menu.entries].sort((a, b) => b.sequence - a.sequence);
  commitMenu(grub, entries, new Map([...tries, [entry.sequence, left]]));
  return left === undefined ? file : { ...file, tries: { left, done: 0 } };
}

/** The menu first: what it no longer names does not count, whatever a crash leaves of it. */
function removeEntries(grub: Grub, sequences: readonly number[]): void {
  const { menu, tries, unfinished } = readMenu(grub);
  const kept = menu.entries.filter(({ sequence }) => !sequences.includes(sequence));
  if (kept.length < menu.entries.length) commitMenu(grub, kept, tries);
  const names = [...unfinished, ...sequences.flatMap((sequence) => fileNamesOf(menu, sequence))];
  removeEntryFiles(grub.files, grub.boot, [...new Set(names)]);
  setTries(grub, new Map(sequences.map((sequence) => [sequence, undefined])));
}

function commitMenu(grub: Grub, entries: readonly BootEntry[], tries: GrubEntryTries): void {
  commit(grub, menuPath(grub), encodeText(formatGrubMenu(entries, tries)));
}

/** Sets the tries that entries have left; undefined for those that are not counted. Nothing is written for no change. */
function setTries(grub: Grub, tries: ReadonlyMap<number, number | undefined>): void {
  const environment = readEnvironment(grub) ?? emptyGrubEnvironment;
  const value = (left: number | undefined) => (left === undefined ? undefined : fromText(String(left)));
  const changes = new Map([...tries].map(([sequence, left]) => [triesVariable(sequence), value(left)]));
  if ([...changes].every(([name, wanted]) => environment.variables.get(name) === wanted)) return;
  const bytes = formatGrubEnvironment(withGrubVariables(environment, changes));
  commit(grub, pathBelow(grub.directory, "grubenv"), bytes);
}

function commit({ files, boot, directory }: Grub, path: Path, bytes: Uint8Array): void {
  if (files.lstatIfExists(directory) === undefined) files.makeDirectory(directory, 0o755);
  commitFile(files, boot, path, bytes, { replace: true });
}

function menuPath({ directory }: Grub): Path {
  return pathBelow(directory, "osdeploy.cfg");
}

function triesVariable(sequence: number): ByteString {
  return fromText(grubTriesVariable(sequence));
}
