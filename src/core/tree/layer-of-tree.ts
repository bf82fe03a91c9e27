import { type ByteString, toText } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import type { FileTree, Inode, Leaf } from "./inode.ts";
import { type LayerEntry, whiteoutPrefix } from "./layer.ts";
import { walkTree } from "./walk-tree.ts";

/** A tree as one layer. */
export interface LayerOfTree {
  /** Depth-first in byte order of the names, the root first; a hard link comes after the name it means. */
  readonly entries: readonly LayerEntry[];
  /** Sockets, which no layer can hold: their paths. */
  readonly leftOut: readonly ByteString[];
}

/**
 * The layer that makes `tree`, for one whose hard links are finished. Contents stay as they are in the tree. O(names)
 * memory.
 *
 * @throws OsdeployError `unsupported` for a name that a layer has for whiteouts: it would take other names away.
 */
export function layerOfTree(tree: FileTree): LayerOfTree {
  const entries: LayerEntry[] = [];
  const leftOut: ByteString[] = [];
  const homes = new Map<Leaf, ByteString>();
  for (const { path, inode } of walkTree(tree)) {
    const relative = path.slice(1) as ByteString;
    if (path.slice(path.lastIndexOf("/") + 1).startsWith(whiteoutPrefix)) throw takenForWhiteout(relative);
    const home = inode.kind === "directory" ? undefined : homes.get(inode);
    const entry = home === undefined ? entryOf(inode, relative) : linkTo(home, inode, relative);
    if (entry === undefined) leftOut.push(relative);
    else entries.push(entry);
    if (inode.kind !== "directory" && inode.nlink > 1) homes.set(inode, home ?? relative);
  }
  return { entries, leftOut };
}

function takenForWhiteout(path: ByteString): OsdeployError {
  const shown = JSON.stringify(toText(path).slice(-200));
  return new OsdeployError("unsupported", `Cannot put ${shown} into a layer: ${whiteoutPrefix} begins whiteouts there`);
}

function linkTo(target: ByteString, { kind }: Inode, path: ByteString): LayerEntry | undefined {
  return kind === "socket" ? undefined : { kind: "hard-link", path, target };
}

/** Undefined for a socket. */
function entryOf(inode: Inode, path: ByteString): LayerEntry | undefined {
  const { stat, xattrs } = inode;
  switch (inode.kind) {
    case "directory":
    case "fifo":
      return { kind: inode.kind, path, stat, xattrs };
    case "regular":
      return { kind: inode.kind, path, stat, xattrs, content: inode.content };
    case "symlink":
      return { kind: inode.kind, path, stat, xattrs, target: inode.target };
    case "character-device":
    case "block-device":
      return { kind: inode.kind, path, stat, xattrs, rdev: inode.rdev };
    default:
      return undefined;
  }
}
