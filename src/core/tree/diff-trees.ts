import type { ByteString } from "../bytes/byte-string.ts";
import type { FileContent, FileTree, Inode, Xattrs } from "./inode.ts";
import { walkTree } from "./walk-tree.ts";

/** What of an inode is not the same in both trees. */
export type TreeChange = "kind" | "content" | "target" | "device" | "permissions" | "owner" | "time" | "xattrs";

/** One path that differs. `before` or `after` is undefined where a tree does not have it. */
export interface TreeDifference {
  /** With a leading slash; `/` for the root. */
  readonly path: ByteString;
  readonly before: Inode | undefined;
  readonly after: Inode | undefined;
  /** Empty when one of both is undefined. */
  readonly changes: readonly TreeChange[];
}

/**
 * All paths in which two trees differ, in byte order. What is below a path that only one of them has comes too. Contents
 * are compared by what the trees say of them.
 */
export function diffTrees(before: FileTree, after: FileTree): readonly TreeDifference[] {
  const old = inodesByPath(before);
  const now = inodesByPath(after);
  const paths = new Set([...old.keys(), ...now.keys()]);
  return [...paths].sort().flatMap((path) => {
    const difference = compare(path, old.get(path), now.get(path));
    return difference === undefined ? [] : [difference];
  });
}

function inodesByPath(tree: FileTree): ReadonlyMap<ByteString, Inode> {
  return new Map([...walkTree(tree)].map(({ path, inode }) => [path, inode]));
}

function compare(path: ByteString, before: Inode | undefined, after: Inode | undefined): TreeDifference | undefined {
  if (before === undefined || after === undefined) return { path, before, after, changes: [] };
  const changes = changesBetween(before, after);
  return changes.length === 0 ? undefined : { path, before, after, changes };
}

function changesBetween(before: Inode, after: Inode): readonly TreeChange[] {
  const a = before.stat;
  const b = after.stat;
  const changes: TreeChange[] = [...contentChange(before, after)];
  if (a.permissions !== b.permissions) changes.push("permissions");
  if (a.uid !== b.uid || a.gid !== b.gid) changes.push("owner");
  if (a.mtimeSeconds !== b.mtimeSeconds || a.mtimeNanoseconds !== b.mtimeNanoseconds) changes.push("time");
  if (!sameXattrs(before.xattrs, after.xattrs)) changes.push("xattrs");
  return changes;
}

function contentChange(before: Inode, after: Inode): readonly TreeChange[] {
  if (before.kind !== after.kind) return ["kind"];
  const change = changeOfKind[before.kind];
  return contentKey(before) === contentKey(after) ? [] : [change];
}

const changeOfKind: Readonly<Record<Inode["kind"], TreeChange>> = {
  directory: "content",
  regular: "content",
  symlink: "target",
  "character-device": "device",
  "block-device": "device",
  fifo: "device",
  socket: "device",
};

/**
 * Equal for inodes of one kind that hold the same: bytes or object of a regular file, target of a symlink, number of a
 * device. Directories are all equal: their entries are compared for themselves.
 */
export function contentKey(inode: Inode): string {
  switch (inode.kind) {
    case "directory":
      return "";
    case "symlink":
      return inode.target;
    case "regular":
      return fileKey(inode.content);
    default:
      return `${inode.rdev}`;
  }
}

function fileKey(content: FileContent): string {
  return content.kind === "inline" ? `inline ${content.bytes}` : `object ${content.digest ?? content.backingPath}`;
}

/** Whether two inodes have the same extended attributes. */
export function sameXattrs(a: Xattrs, b: Xattrs): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}
