import type { ByteString } from "../core/bytes/byte-string.ts";
import { unless } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import type { WritableRepo } from "./repo.ts";

/**
 * Makes `directory/name` a symlink to `target`, by one step that nobody sees half of. What it said before is replaced.
 *
 * @returns whether anything changed.
 */
export function setLink(
  repo: WritableRepo,
  directory: Path,
  link: { readonly name: ByteString; readonly target: ByteString },
): boolean {
  const path = childPath(directory, link.name);
  if (readLinkIfExists(repo.files, path) === link.target) return false;
  const temporary = repo.unusedPath(directory, ".symlink-");
  repo.files.symlink(link.target, temporary);
  repo.files.rename(temporary, path);
  return true;
}

/** What the symlink `path` says; undefined where there is nothing, or something else. */
export function readLinkIfExists(files: LinuxFiles, path: Path): ByteString | undefined {
  if (files.lstatIfExists(path)?.kind !== "symlink") return undefined;
  // Somebody took it away in this moment.
  return unless("not-found", () => files.readLink(path));
}

/** Removes a name. @returns whether it was there. */
export function unlinkIfExists(files: LinuxFiles, path: Path): boolean {
  const wasThere = unless("not-found", () => {
    files.unlink(path);
    return true;
  });
  return wasThere ?? false;
}
