import type { Linux, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";

/** The parts of the machine that a repo needs. */
export type RepoLinux = Pick<Linux, "files" | "clock">;

/** How names begin that live for the moment between making and renaming; `.symlink-` as in composefs-rs. */
export type TemporaryPrefix = ".symlink-" | ".tmp-";

/** A path in `directory` that nobody uses; with a prefix, one that gc takes for a leftover. */
export function unusedPath(linux: RepoLinux, directory: Path, prefix: TemporaryPrefix | ""): Path {
  for (;;) {
    const path = pathBelow(directory, `${prefix}${linux.clock.randomName()}`);
    if (linux.files.lstatIfExists(path) === undefined) return path;
  }
}

/** Whether a run that stopped in the middle left `name` behind; composefs-rs's `.tmp-object-…` are among them. */
export function isTemporaryName(name: string): boolean {
  return name.startsWith(".symlink-") || name.startsWith(".tmp-");
}
