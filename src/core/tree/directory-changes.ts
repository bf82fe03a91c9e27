import type { ByteString } from "../bytes/byte-string.ts";
import type { Directory, FileTree, Stat, Xattrs } from "./inode.ts";

/** A directory of which a tree says something else than another one does. */
export interface DirectoryChange {
  /** Without leading slash; the root is empty. */
  readonly path: ByteString;
  /** What the second tree says. */
  readonly stat: Stat;
}

/**
 * The directories whose metadata are others in `after` than in `before`; undefined when the trees differ in anything else,
 * or so it seems: what is equal and not the very same counts as different, but for directories.
 *
 * Takes time for what was made anew only.
 */
export function directoryChanges(before: FileTree, after: FileTree): readonly DirectoryChange[] | undefined {
  const changes: DirectoryChange[] = [];
  return collectChanges({ before: before.root, after: after.root, path: "" as ByteString }, changes)
    ? changes
    : undefined;
}

interface DirectoryPair {
  readonly before: Directory;
  readonly after: Directory;
  readonly path: ByteString;
}

/** False when more than metadata differ. */
function collectChanges({ before, after, path }: DirectoryPair, changes: DirectoryChange[]): boolean {
  if (before === after) return true;
  if (!isSameMap(before.xattrs, after.xattrs) || !isSameSet(before.links, after.links)) return false;
  if (before.entries.size !== after.entries.size) return false;
  if (!isSameStat(before.stat, after.stat)) changes.push({ path, stat: after.stat });
  for (const [name, was] of before.entries) {
    const is = after.entries.get(name);
    if (is === was) continue;
    if (is?.kind !== "directory" || was.kind !== "directory") return false;
    const below = (path === "" ? name : `${path}/${name}`) as ByteString;
    if (!collectChanges({ before: was, after: is, path: below }, changes)) return false;
  }
  return true;
}

function isSameStat(one: Stat, other: Stat): boolean {
  return (
    one.permissions === other.permissions &&
    one.uid === other.uid &&
    one.gid === other.gid &&
    one.mtimeSeconds === other.mtimeSeconds &&
    one.mtimeNanoseconds === other.mtimeNanoseconds
  );
}

function isSameMap(some: Xattrs, others: Xattrs): boolean {
  if (some === others) return true;
  if (some.size !== others.size) return false;
  for (const [key, value] of some) if (others.get(key) !== value) return false;
  return true;
}

/** Whether two sets hold the same names. */
export function isSameSet(some: ReadonlySet<ByteString>, others: ReadonlySet<ByteString>): boolean {
  if (some.size !== others.size) return false;
  for (const name of some) if (!others.has(name)) return false;
  return true;
}
