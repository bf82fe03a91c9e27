import { type ByteString, inQuotes } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { finishHardLinks } from "./hard-links.ts";
import type { FileTree, Leaf, Stat, Xattrs } from "./inode.ts";
import { kindNames } from "./kind-names.ts";
import { type LayerEntry, whiteoutPrefix } from "./layer.ts";
import { pathComponents } from "./tree-path.ts";

/** A directory while layers are being applied to it. */
interface GrowingDirectory {
  readonly kind: "directory";
  stat: Stat;
  xattrs: Xattrs;
  readonly entries: Map<ByteString, GrowingDirectory | GrowingLeaf>;
  readonly links: ReadonlySet<ByteString>;
}

/** Its `nlink` is 1 as long as it has never had another name, and then 2. */
type GrowingLeaf = Leaf & { nlink: number };

interface GrowingTree {
  readonly root: GrowingDirectory;
  /** How many directories may still be made. */
  directoriesLeft: number;
  /** The directory that entries were last put into, and the path that led to it: mostly that of the next entry, too. */
  last: { readonly path: ByteString; readonly directory: GrowingDirectory } | undefined;
}

/** An image could imply a thousand directories with each short entry; no real one has a tenth of this. */
const defaultMaxDirectories = 2_000_000;
const noXattrs: Xattrs = new Map();
const noLinks: ReadonlySet<ByteString> = new Set();
/** Of directories which a layer implies but does not list. Other unpackers take the time of day; this is reproducible. */
const impliedStat: Stat = { permissions: 0o755, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 };

const opaqueName = ".wh..wh..opq";

/**
 * The tree that the layers make, lowest layer first.
 *
 * As composefs-rs does, entries act strictly in order, also within a layer: a whiteout removes what is there so far, an
 * opaque whiteout empties its directory of all that came before. A directory over a directory replaces metadata and
 * keeps the children; anything else replaces what was there. A hard link shares the inode that its target has at this
 * moment. Unlike it, missing parent directories are made: mode 0755, owner 0:0, time 0.
 *
 * O(entries × depth) time. The result is finished: link counts are right, and a shared leaf's own name is its first in a
 * depth-first walk in byte order.
 *
 * @throws OsdeployError `bad-format` when a path leads through something that is no directory (symlinks are never
 * followed), or a hard link has no target or a directory as target; `limit-exceeded` when more than `maxDirectories`
 * directories (two million when left out) are made.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md
 */
export function mergeLayers(
  layers: Iterable<Iterable<LayerEntry>>,
  options: { readonly maxDirectories?: number } = {},
): FileTree {
  const root = newDirectory();
  const directoriesLeft = options.maxDirectories ?? defaultMaxDirectories;
  const tree: GrowingTree = { root, directoriesLeft, last: undefined };
  for (const layer of layers) {
    for (const entry of layer) applyEntry(tree, entry);
  }
  return finishHardLinks(root);
}

function newDirectory(): GrowingDirectory {
  return { kind: "directory", stat: impliedStat, xattrs: noXattrs, entries: new Map(), links: noLinks };
}

function applyEntry(tree: GrowingTree, entry: LayerEntry): void {
  const { parent, name } = splitPath(entry.path);
  if (name.startsWith(whiteoutPrefix)) {
    removeNames(findDirectory(tree.root, parent, entry), name);
    tree.last = undefined;
  } else if (entry.kind === "directory") {
    const directory = entry.path === "" ? tree.root : openDirectory(tree, makeDirectory(tree, parent, entry), name);
    directory.stat = entry.stat;
    directory.xattrs = entry.xattrs;
  } else {
    const leaf = entry.kind === "hard-link" ? findTarget(tree.root, entry) : newLeaf(entry);
    const { entries } = makeDirectory(tree, parent, entry);
    const { size } = entries;
    entries.set(name, leaf);
    // What it took the place of can have been a directory.
    if (entries.size === size) tree.last = undefined;
  }
}

function splitPath(path: ByteString): { readonly parent: ByteString; readonly name: ByteString } {
  const slash = path.lastIndexOf("/");
  return { parent: path.slice(0, Math.max(slash, 0)) as ByteString, name: path.slice(slash + 1) as ByteString };
}

/** In a directory that is not there, there is nothing to remove. */
function removeNames(directory: GrowingDirectory | undefined, whiteout: ByteString): void {
  if (whiteout === opaqueName) directory?.entries.clear();
  else directory?.entries.delete(whiteout.slice(whiteoutPrefix.length) as ByteString);
}

/** The directory at `path`, made with all its parents where it is missing. */
function makeDirectory(tree: GrowingTree, path: ByteString, entry: LayerEntry): GrowingDirectory {
  if (tree.last?.path === path) return tree.last.directory;
  let directory = tree.root;
  for (const name of pathComponents(path)) {
    directory = nextDirectory(directory, name, entry) ?? openDirectory(tree, directory, name);
  }
  tree.last = { path, directory };
  return directory;
}

function findDirectory(root: GrowingDirectory, path: ByteString, entry: LayerEntry): GrowingDirectory | undefined {
  let directory: GrowingDirectory | undefined = root;
  for (const name of pathComponents(path)) {
    directory = directory === undefined ? undefined : nextDirectory(directory, name, entry);
  }
  return directory;
}

function nextDirectory(directory: GrowingDirectory, name: ByteString, entry: LayerEntry): GrowingDirectory | undefined {
  const next = directory.entries.get(name);
  if (next === undefined || next.kind === "directory") return next;
  throw refuse(entry, `${inQuotes(name)} on the way is a ${kindNames[next.kind]}, no directory`);
}

/** The directory `name` in `parent`, in the place of whatever else is there. */
function openDirectory(tree: GrowingTree, parent: GrowingDirectory, name: ByteString): GrowingDirectory {
  const existing = parent.entries.get(name);
  if (existing?.kind === "directory") return existing;
  tree.directoriesLeft--;
  if (tree.directoriesLeft < 0) {
    throw new OsdeployError("limit-exceeded", "Cannot merge layers: they have too many directories");
  }
  const directory = newDirectory();
  parent.entries.set(name, directory);
  return directory;
}

function findTarget(root: GrowingDirectory, entry: Extract<LayerEntry, { kind: "hard-link" }>): GrowingLeaf {
  const { parent, name } = splitPath(entry.target);
  const target = entry.target === "" ? root : findDirectory(root, parent, entry)?.entries.get(name);
  if (target === undefined) throw refuse(entry, `the hard link's target ${inQuotes(entry.target)} is not there`);
  if (target.kind === "directory") {
    throw refuse(entry, `the hard link's target ${inQuotes(entry.target)} is a directory`);
  }
  target.nlink = 2;
  return target;
}

function newLeaf(entry: Exclude<LayerEntry, { kind: "directory" | "hard-link" }>): GrowingLeaf {
  const { stat, xattrs } = entry;
  switch (entry.kind) {
    case "regular":
      return { kind: "regular", stat, xattrs, nlink: 1, content: entry.content };
    case "symlink":
      return { kind: "symlink", stat, xattrs, nlink: 1, target: entry.target };
    case "fifo":
      return { kind: "fifo", stat, xattrs, nlink: 1, rdev: 0, claimedSizeBytes: 0n };
    default:
      return { kind: entry.kind, stat, xattrs, nlink: 1, rdev: entry.rdev, claimedSizeBytes: 0n };
  }
}

function refuse(entry: LayerEntry, state: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot unpack ${inQuotes(entry.path)}: ${state}`);
}
