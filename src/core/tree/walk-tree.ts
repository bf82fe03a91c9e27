import type { ByteString } from "../bytes/byte-string.ts";
import type { Directory, FileTree, Inode } from "./inode.ts";

/** A name in a tree. */
export interface TreeEntry {
  /** From the root: `/` for the root itself, else a slash before each name. */
  readonly path: ByteString;
  readonly inode: Inode;
  /** Whether this is a further name of an inode whose own name is elsewhere. */
  readonly isLink: boolean;
}

/** All names of `tree`, the root first, depth-first in byte order of the names. Does not recurse. */
export function* walkTree(tree: FileTree): Generator<TreeEntry> {
  yield { path: "/" as ByteString, inode: tree.root, isLink: false };
  const stack = [openDirectory(tree.root, "")];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const name = top.names.pop();
    const inode = name === undefined ? undefined : top.directory.entries.get(name);
    if (name === undefined || inode === undefined) {
      stack.pop();
      continue;
    }
    const path = `${top.path}/${name}` as ByteString;
    yield { path, inode, isLink: top.directory.links.has(name) };
    if (inode.kind === "directory") stack.push(openDirectory(inode, path));
  }
}

interface OpenedDirectory {
  readonly directory: Directory;
  readonly path: string;
  /** Those still to come, the next one last. */
  readonly names: ByteString[];
}

function openDirectory(directory: Directory, path: string): OpenedDirectory {
  return { directory, path, names: [...directory.entries.keys()].sort().reverse() };
}
