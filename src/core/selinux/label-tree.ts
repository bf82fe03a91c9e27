import { type ByteString, fromText } from "../bytes/byte-string.ts";
import type { Directory, Inode, Leaf, Xattrs } from "../tree/inode.ts";
import { mapEntries, sortedEntries } from "../tree/tree-path.ts";
import type { SelinuxPolicy } from "./selinux-policy.ts";

const key = fromText("security.selinux");

/** The type letters of `selabel_file(5)`. */
const typeLetters: Readonly<Record<Inode["kind"], ByteString>> = {
  regular: fromText("-"),
  directory: fromText("d"),
  symlink: fromText("l"),
  fifo: fromText("p"),
  socket: fromText("s"),
  "character-device": fromText("c"),
  "block-device": fromText("b"),
};

interface Labelling {
  readonly policy: SelinuxPolicy;
  /** What became of each leaf that may have several names at the first of them, and the label it got there. */
  readonly leaves: Map<Leaf, { readonly leaf: Leaf; readonly label: ByteString | undefined }>;
  /** One map for all inodes that have only a label, and the same one. */
  readonly xattrs: Map<ByteString | undefined, Xattrs>;
}

/**
 * The tree under `root` with the labels that `policy` gives it; without a policy, with none.
 *
 * A leaf with several names gets the label of the first in a depth-first walk in byte order. Each later name that would
 * get another label becomes a leaf of its own, even where two of them agree: what composefs-rs does, and part of the
 * image's id. Values have no trailing NUL.
 *
 * @throws OsdeployError `limit-exceeded` when the policy's regexes take too long.
 */
export function labelTree(root: Directory, policy: SelinuxPolicy | undefined): Directory {
  if (policy === undefined) return removeLabels(root, new Map());
  const labelling: Labelling = { policy, leaves: new Map(), xattrs: new Map() };
  return labelDirectory(root, fromText("/"), labelling);
}

/** `directory` and all below without labels. Leaves that change and are shared stay shared through `leaves`. */
function removeLabels(directory: Directory, leaves: Map<Leaf, Leaf>): Directory {
  const entries = mapEntries(directory.entries, (inode) => {
    if (inode.kind === "directory") return removeLabels(inode, leaves);
    if (!inode.xattrs.has(key)) return inode;
    const unlabelled = leaves.get(inode) ?? { ...inode, xattrs: withoutLabel(inode.xattrs) };
    leaves.set(inode, unlabelled);
    return unlabelled;
  });
  if (entries === directory.entries && !directory.xattrs.has(key)) return directory;
  return { ...directory, xattrs: withoutLabel(directory.xattrs), entries };
}

function withoutLabel(xattrs: Xattrs): Xattrs {
  return new Map([...xattrs].filter(([name]) => name !== key));
}

/** `path` is where the rules look for `directory`: another place where an alias is on the way. */
function labelDirectory(directory: Directory, path: ByteString, labelling: Labelling): Directory {
  const entries = new Map<ByteString, Inode>();
  const prefix = path.endsWith("/") ? path : `${path}/`;
  for (const [name, inode] of sortedEntries(directory)) {
    const own = `${prefix}${name}` as ByteString;
    const effective = labelling.policy.alias(own) ?? own;
    const labelled =
      inode.kind === "directory" ? labelDirectory(inode, effective, labelling) : labelLeaf(inode, effective, labelling);
    entries.set(name, labelled);
  }
  const label = labelling.policy.label(path, typeLetters.directory);
  return { ...directory, xattrs: withLabel(directory.xattrs, label, labelling), entries };
}

function labelLeaf(leaf: Leaf, path: ByteString, labelling: Labelling): Leaf {
  const label = labelling.policy.label(path, typeLetters[leaf.kind]);
  const first = labelling.leaves.get(leaf);
  if (first !== undefined && first.label === label) return first.leaf;
  const labelled: Leaf = { ...leaf, xattrs: withLabel(leaf.xattrs, label, labelling) };
  if (leaf.nlink !== 1 && first === undefined) labelling.leaves.set(leaf, { leaf: labelled, label });
  return labelled;
}

function withLabel(xattrs: Xattrs, label: ByteString | undefined, labelling: Labelling): Xattrs {
  const hasMore = xattrs.size > (xattrs.has(key) ? 1 : 0);
  const shared = hasMore ? undefined : labelling.xattrs.get(label);
  if (shared !== undefined) return shared;
  const labelled = new Map(xattrs);
  labelled.delete(key);
  if (label !== undefined) labelled.set(key, label);
  if (!hasMore) labelling.xattrs.set(label, labelled);
  return labelled;
}
