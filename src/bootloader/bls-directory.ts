import { formatBlsEntry, parseBlsEntry } from "../core/boot/bls-entry.ts";
import { type BootEntry, type BootMenu, readBootMenu } from "../core/boot/boot-menu.ts";
import { type ByteString, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import { withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";

/** Larger files in `loader/entries` are no boot entries. */
const entryLimitBytes = 64 * 1024;

/**
 * The boot menu of a boot partition mounted at `boot`. Whatever in `loader/entries` is not ours, or cannot be read as an
 * entry, counts as foreign: it is named, and never breaks a command.
 */
export function readBootEntries(files: LinuxFiles, boot: Path): BootMenu {
  const directory = entriesDirectory(boot);
  if (files.lstatIfExists(directory) === undefined) return { entries: [], foreign: [] };
  const names = files.readDirectory(directory).filter((name) => name.endsWith(".conf"));
  return readBootMenu(names.map((name) => readEntry(files, directory, name)));
}

function readEntry(
  files: LinuxFiles,
  directory: Path,
  name: ByteString,
): { fileName: string; entry: BootEntry["entry"] } {
  try {
    const text = files.readFile(childPath(directory, name), entryLimitBytes);
    return { fileName: toText(name), entry: parseBlsEntry(new TextDecoder().decode(text)) };
  } catch (error) {
    if (error instanceof OsdeployError && error.code !== "permission-denied")
      return { fileName: toText(name), entry: { fields: [] } };
    throw error;
  }
}

/**
 * Adds a boot entry: the commit point of a deployment. Everything it names has to be durable before.
 *
 * Written under a temporary name that no loader reads, synced, renamed, synced: works on vfat, and a crash leaves the
 * old menu or the new one.
 */
export function addBootEntry(files: LinuxFiles, boot: Path, entry: BootEntry): void {
  for (const path of [pathBelow(boot, "loader"), entriesDirectory(boot)]) {
    if (files.lstatIfExists(path) === undefined) files.makeDirectory(path, 0o755);
  }
  const temporary = pathBelow(entriesDirectory(boot), `${entry.fileName}${unfinishedSuffix}`);
  if (files.lstatIfExists(temporary) !== undefined) files.unlink(temporary);
  files.writeNewFile(temporary, new TextEncoder().encode(formatBlsEntry(entry.entry)), 0o644);
  withOpen(files, boot, "directory", (fd) => {
    files.syncFileSystem(fd);
    files.rename(temporary, pathBelow(entriesDirectory(boot), entry.fileName), { replace: false });
    files.syncFileSystem(fd);
  });
}

const unfinishedSuffix = ".new";

function entriesDirectory(boot: Path): Path {
  return pathBelow(boot, "loader/entries");
}
