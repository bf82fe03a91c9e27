import type { ByteString } from "../bytes/byte-string.ts";
import { assert } from "../errors.ts";
import type { Directory, FileTree, Inode, Leaf } from "./inode.ts";
import { sortedEntries } from "./tree-path.ts";

/**
 * The tree under `root` with its hard links as they are to be written: link counts say how many names a leaf has, and a
 * shared leaf's own name is its first in a depth-first walk in byte order. Entries come out in byte order.
 *
 * Only which leaves are the same object counts in `root`; its `nlink` and `links` are not looked at. `root` is left as it
 * is. O(names) time and memory.
 */
export function finishHardLinks(root: Directory): FileTree {
  const names = new Map<Leaf, number>();
  countNames(root, names);
  return { root: finishDirectory(root, { names, finished: new Map() }) };
}

function countNames(directory: Directory, names: Map<Leaf, number>): void {
  for (const inode of directory.entries.values()) {
    if (inode.kind === "directory") countNames(inode, names);
    else names.set(inode, (names.get(inode) ?? 0) + 1);
  }
}

interface Finishing {
  readonly names: ReadonlyMap<Leaf, number>;
  /** The leaves whose own name was met, as they are in the new tree. */
  readonly finished: Map<Leaf, Leaf>;
}

function finishDirectory(directory: Directory, finishing: Finishing): Directory {
  const entries = new Map<ByteString, Inode>();
  const links = new Set<ByteString>();
  for (const [name, inode] of sortedEntries(directory)) {
    if (inode.kind === "directory") {
      entries.set(name, finishDirectory(inode, finishing));
      continue;
    }
    const known = finishing.finished.get(inode);
    if (known !== undefined) links.add(name);
    entries.set(name, known ?? finishLeaf(inode, finishing));
  }
  return { ...directory, entries, links };
}

function finishLeaf(leaf: Leaf, { names, finished }: Finishing): Leaf {
  const nlink = names.get(leaf);
  assert(nlink !== undefined, "the names of all leaves were counted");
  const finishedLeaf = leaf.nlink === nlink ? leaf : { ...leaf, nlink };
  if (nlink > 1) finished.set(leaf, finishedLeaf);
  return finishedLeaf;
}
