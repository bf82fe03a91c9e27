import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import { encodeText } from "../core/bytes/utf8.ts";
import { unless } from "../core/errors.ts";
import { withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { makeDirectories } from "../linux/make-directories.ts";
import { childPath, pathBelow } from "../linux/path.ts";

/** Small files of our own; whoever makes them larger means harm, or it is not one of them. */
const limitBytes = 1024 * 1024;

/**
 * Writes the small file `name` in `directory`, which is made with its parents below `root`; one of that name is replaced.
 * Durable when it returns; a crash leaves the old file or the new one.
 */
export function writeDurably(
  files: LinuxFiles,
  place: { readonly root: Path; readonly directory: string; readonly name: string },
  text: string,
): void {
  const directory = makeDirectories(files, place.root, place.directory);
  const unfinished = pathBelow(directory, `.new-${place.name}`);
  if (files.lstatIfExists(unfinished) !== undefined) files.unlink(unfinished);
  files.writeNewFile(unfinished, encodeText(text), 0o644);
  withOpen(files, directory, "directory", (fd) => {
    files.syncFileSystem(fd);
    files.rename(unfinished, pathBelow(directory, place.name), { replace: true });
    files.syncFileSystem(fd);
  });
}

/** Removes a small file, durable; one that is gone already is fine. */
export function removeDurably(files: LinuxFiles, directory: Path, name: string): void {
  const path = childPath(directory, fromText(name));
  if (files.lstatIfExists(path) === undefined) return;
  files.unlink(path);
  withOpen(files, directory, "directory", (fd) => files.syncFileSystem(fd));
}

/** The bytes of a small file; undefined when there is none. @throws OsdeployError when it cannot be read. */
export function readSmallFile(files: LinuxFiles, path: Path): Uint8Array | undefined {
  return unless("not-found", () => files.readFile(path, limitBytes));
}

/** The names of finished files in a directory; none when there is no such directory. */
export function finishedNames(files: LinuxFiles, directory: Path): readonly ByteString[] {
  if (files.lstatIfExists(directory) === undefined) return [];
  return files.readDirectory(directory).filter((name) => !name.startsWith("."));
}
