import { type ByteString, compareBytes } from "../bytes/byte-string.ts";
import type { Directory, FileTree, Inode } from "./inode.ts";

/** The components of a path; leading, trailing and repeated slashes and `.` count for nothing. */
export function pathComponents(path: ByteString): readonly ByteString[] {
  return path.split("/").filter((name) => name !== "" && name !== ".") as ByteString[];
}

/**
 * The inode at `path`, or undefined. Symlinks are not followed, and `..` is a name like any other, which no tree holds.
 */
export function findInode(tree: FileTree, path: ByteString): Inode | undefined {
  let inode: Inode | undefined = tree.root;
  for (const name of pathComponents(path)) {
    inode = inode?.kind === "directory" ? inode.entries.get(name) : undefined;
  }
  return inode;
}

/** The kernel follows as many symlinks before it answers ELOOP. */
const symlinkLimit = 40;

/**
 * The inode that `path` leads to when symlinks are followed inside the tree: absolute targets start at its root, and
 * `..` never leaves it. Undefined when there is none, or the links go round in a circle.
 */
export function followPath(tree: FileTree, path: ByteString): Inode | undefined {
  const ahead = [...pathComponents(path)].reverse();
  const above: Directory[] = [];
  let here: Inode = tree.root;
  let followed = 0;
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (here.kind !== "directory") return undefined;
    if (name === "..") {
      here = above.pop() ?? tree.root;
      continue;
    }
    const next: Inode | undefined = here.entries.get(name);
    if (next === undefined) return undefined;
    if (next.kind !== "symlink") {
      above.push(here);
      here = next;
      continue;
    }
    followed += 1;
    if (followed > symlinkLimit) return undefined;
    if (next.target.startsWith("/")) {
      above.length = 0;
      here = tree.root;
    }
    ahead.push(...[...pathComponents(next.target)].reverse());
  }
  return here;
}

/** The directory at `path`, or undefined when there is none or something else. */
export function findDirectory(tree: FileTree, path: ByteString): Directory | undefined {
  const inode = findInode(tree, path);
  return inode?.kind === "directory" ? inode : undefined;
}

/** The names in `directory` in byte order, with their inodes: its own entries where they are in order, as most are. */
export function sortedEntries({ entries }: Directory): Directory["entries"] {
  let last = "";
  let isSorted = true;
  entries.forEach((_, name) => {
    if (name < last) isSorted = false;
    last = name;
  });
  if (isSorted) return entries;
  // To take the pairs apart in the parameters would cost more than the comparison.
  return new Map([...entries].sort((a, b) => compareBytes(a[0], b[0])));
}

/** The entries with what `map` makes of each, in the same order: the very same where it changes nothing. */
export function mapEntries(
  entries: Directory["entries"],
  map: (inode: Inode, name: ByteString) => Inode,
): Directory["entries"] {
  let changed: Map<ByteString, Inode> | undefined;
  entries.forEach((inode, name) => {
    const mapped = map(inode, name);
    if (mapped === inode) return;
    changed ??= new Map(entries);
    changed.set(name, mapped);
  });
  return changed ?? entries;
}
