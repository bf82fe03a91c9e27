import { type BlsEntry, blsEntryLimitBytes, formatBlsEntry, parseBlsEntry } from "../core/boot/bls-entry.ts";
import { type BootMenu, readBootMenu, sequenceOfFileName } from "../core/boot/boot-menu.ts";
import { type ByteString, toText } from "../core/bytes/byte-string.ts";
import { decodeText, encodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import { withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { makeDirectories } from "../linux/make-directories.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import { removeLeftovers } from "../linux/remove-tree.ts";
import { commitFile, unfinishedSuffix } from "./commit-file.ts";

/**
 * The boot menu of a boot partition mounted at `boot`. Whatever in `loader/entries` is not ours, or cannot be read as an
 * entry, counts as foreign: it is named, and never breaks a command.
 */
export function readBootEntries(files: LinuxFiles, boot: Path): BootMenu {
  const directory = entriesDirectory(boot);
  const names = entryNames(files, boot).filter((name) => name.endsWith(".conf"));
  return readBootMenu(names.map((name) => readEntry(files, directory, name)));
}

/** Kernels with all that they need in one file, which systemd-boot shows without an entry, by their paths on the partition. */
export function unifiedKernels(files: LinuxFiles, boot: Path): readonly string[] {
  const directory = pathBelow(boot, "EFI/Linux");
  if (files.lstatIfExists(directory)?.kind !== "directory") return [];
  const names = files.readDirectory(directory).filter((name) => /\.efi$/i.test(name));
  return names.map((name) => `EFI/Linux/${toText(name)}`);
}

function entryNames(files: LinuxFiles, boot: Path): readonly ByteString[] {
  const directory = entriesDirectory(boot);
  return files.lstatIfExists(directory)?.kind === "directory" ? files.readDirectory(directory) : [];
}

function readEntry(files: LinuxFiles, directory: Path, name: ByteString): { fileName: string; entry: BlsEntry } {
  try {
    const text = files.readFile(childPath(directory, name), blsEntryLimitBytes);
    return { fileName: toText(name), entry: parseBlsEntry(decodeText(text)) };
  } catch (error) {
    if (error instanceof OsdeployError && error.code !== "permission-denied")
      return { fileName: toText(name), entry: { fields: [] } };
    throw error;
  }
}

/**
 * Writes the file of an entry, durable; what a crash left unfinished there before goes. A crash leaves the file whole or
 * not there.
 *
 * @throws OsdeployError `already-exists` when a file has the name.
 */
export function writeEntryFile(
  files: LinuxFiles,
  boot: Path,
  { fileName, entry }: { readonly fileName: string; readonly entry: BlsEntry },
): void {
  const directory = makeDirectories(files, boot, entriesPath);
  const unfinished = entryNames(files, boot).filter((name) => {
    const finished = name.endsWith(unfinishedSuffix) ? name.slice(0, -unfinishedSuffix.length) : "";
    return sequenceOfFileName(finished) !== undefined;
  });
  // No loader reads them: what a damaged directory keeps is in nobody's way, but for one of the same name.
  removeLeftovers(
    files,
    unfinished.map((name) => childPath(directory, name)),
  );
  const bytes = encodeText(formatBlsEntry(entry));
  commitFile(files, boot, pathBelow(directory, fileName), bytes, { replace: false });
}

/** Gives the file of an entry another name, durable: that is how the Boot Loader Specification counts. */
export function renameEntryFile(files: LinuxFiles, boot: Path, from: string, to: string): void {
  const directory = entriesDirectory(boot);
  withOpen(files, boot, "directory", (fd) => {
    files.rename(pathBelow(directory, from), pathBelow(directory, to), { replace: true });
    files.syncFileSystem(fd);
  });
}

/** Takes files away from `loader/entries`, in the given order, each durably before the next. */
export function removeEntryFiles(files: LinuxFiles, boot: Path, fileNames: readonly string[]): void {
  if (fileNames.length === 0) return;
  withOpen(files, boot, "directory", (fd) => {
    for (const name of fileNames) {
      files.unlink(pathBelow(entriesDirectory(boot), name));
      files.syncFileSystem(fd);
    }
  });
}

/**
 * The files of a menu with a number, stale ones first: taken away in this order, none of them ever counts in the place of
 * the one that did.
 */
export function fileNamesOf({ entries, stale }: BootMenu, sequence: number): readonly string[] {
  const names = [...stale, ...entries.map(({ fileName }) => fileName)];
  return names.filter((name) => sequenceOfFileName(name) === sequence);
}

const entriesPath = "loader/entries";

function entriesDirectory(boot: Path): Path {
  return pathBelow(boot, entriesPath);
}
