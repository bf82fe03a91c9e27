import type { ByteString } from "../bytes/byte-string.ts";
import type { Directory, Inode, Leaf, OpenDirectory } from "../tree/inode.ts";

/**
 * Decides for leaves with several names which one is their own: the first in depth-first order, as composefs-info and
 * composefs-rs have it. `shared` are those leaves.
 */
export function homesDepthFirst(root: Directory, shared: ReadonlySet<Leaf>): void {
  const homeless = new Set<Inode>(shared);
  const stack: { readonly directory: Directory; readonly entries: Iterator<[ByteString, Inode]> }[] = [];
  const enter = (directory: Directory) => stack.push({ directory, entries: directory.entries.entries() });
  enter(root);
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const next = top.entries.next();
    if (next.done === true) stack.pop();
    else {
      const [name, inode] = next.value;
      if (inode.kind === "directory") enter(inode);
      else if (shared.has(inode) && !homeless.delete(inode)) addLink(top.directory, name);
    }
  }
}

/**
 * The same from the places of the inodes, by nid: mkcomposefs numbers them breadth-first by their own names, so where they are
 * tells which name that was. Where the places follow no such order it is the first name. The last name of a level can be as good
 * as the first of the next: then it is the one that `mayBeHome`, or the first.
 */
export function homesByNid(
  root: Directory,
  {
    shared,
    inodes,
    mayBeHome,
  }: {
    readonly shared: ReadonlySet<Leaf>;
    readonly inodes: ReadonlyMap<number, Inode>;
    readonly mayBeHome: (directory: Directory, inode: Inode) => boolean;
  },
): void {
  const inOrder = [...inodes].sort(([a], [b]) => a - b).map(([, inode]) => inode);
  const names = new Map<Inode, { readonly directory: Directory; readonly name: ByteString }[]>();
  const homes = new Map<Inode, number>();
  let next = 1;
  const queue: Directory[] = [root];
  // The queue grows while it is walked.
  for (const directory of queue) {
    for (const [name, inode] of directory.entries) {
      const isNext = inode === inOrder[next] && mayBeHome(directory, inode);
      if (isNext) next += 1;
      if (inode.kind === "directory") queue.push(inode);
      else if (shared.has(inode)) {
        const known = names.get(inode) ?? [];
        if (isNext) homes.set(inode, known.length);
        known.push({ directory, name });
        names.set(inode, known);
      }
    }
  }
  for (const [inode, all] of names) {
    all.splice(homes.get(inode) ?? 0, 1);
    for (const { directory, name } of all) addLink(directory, name);
  }
}

/** Only the reader, which made all directories of the tree, calls what is in here. */
function addLink(directory: Directory, name: ByteString): void {
  (directory as OpenDirectory).links.add(name);
}
