import type { ByteString } from "../bytes/byte-string.ts";
import { assert } from "../errors.ts";
import { isSameSet } from "./directory-changes.ts";
import type { Directory, FileTree, Inode, Leaf } from "./inode.ts";
import { mapEntries, sortedEntries } from "./tree-path.ts";

/**
 * The tree under `root` with its hard links as they are to be written: link counts say how many names a leaf has, and a
 * shared leaf's own name is its first in a depth-first walk in byte order. Entries come out in byte order.
 *
 * Which leaves are the same object is what counts in `root`; of its `nlink` only that a leaf of 1 has one name, of its
 * `links` nothing. `root` is left as it is, and what is right already is shared with the result. O(names) time.
 */
export function finishHardLinks(root: Directory): FileTree {
  const names = new Map<Leaf, number>();
  countNames(root, names);
  return { root: finishDirectory(root, { names, finished: new Map() }) };
}

/** Counts the names of leaves that may have several. */
function countNames(directory: Directory, names: Map<Leaf, number>): void {
  directory.entries.forEach((inode) => {
    if (inode.kind === "directory") countNames(inode, names);
    else if (inode.nlink !== 1) names.set(inode, (names.get(inode) ?? 0) + 1);
  });
}

interface Finishing {
  readonly names: ReadonlyMap<Leaf, number>;
  /** The leaves whose own name was met, as they are in the new tree. */
  readonly finished: Map<Leaf, Leaf>;
}

function finishDirectory(directory: Directory, finishing: Finishing): Directory {
  const links = new Set<ByteString>();
  const finish = (inode: Inode, name: ByteString): Inode => {
    if (inode.kind === "directory") return finishDirectory(inode, finishing);
    if (inode.nlink === 1) return inode;
    const known = finishing.finished.get(inode);
    if (known !== undefined) links.add(name);
    return known ?? finishLeaf(inode, finishing);
  };
  const entries = mapEntries(sortedEntries(directory), finish);
  const isSame = entries === directory.entries && isSameSet(links, directory.links);
  return isSame ? directory : { ...directory, entries, links };
}

function finishLeaf(leaf: Leaf, { names, finished }: Finishing): Leaf {
  const nlink = names.get(leaf);
  assert(nlink !== undefined, "the names of leaves that may have several were counted");
  const finishedLeaf = leaf.nlink === nlink ? leaf : { ...leaf, nlink };
  if (nlink > 1) finished.set(leaf, finishedLeaf);
  return finishedLeaf;
}
