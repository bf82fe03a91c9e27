import type { ByteString } from "../bytes/byte-string.ts";
import { escapeField } from "./dump-escape.ts";
import type { FileTree } from "./inode.ts";
import { type TreeEntry, walkTree } from "./walk-tree.ts";

/** One line for each name but the root, as `composefs-info ls` prints it, each with its newline. */
export function* listTree(tree: FileTree): Generator<ByteString> {
  for (const entry of walkTree(tree)) {
    if (entry.path !== "/") yield `${escapeField(entry.path, "spaces-raw")}${describe(entry)}\n` as ByteString;
  }
}

/** What stands behind the path; nothing for a further name of something. */
function describe({ inode, isLink }: TreeEntry): string {
  if (isLink) return "";
  if (inode.kind === "directory") return "/\t";
  if (inode.kind === "symlink") return `\t-> ${escapeField(inode.target, "path")}`;
  if (inode.kind !== "regular" || inode.content.kind !== "external") return "";
  const { backingPath } = inode.content;
  return backingPath === undefined ? "" : `\t@ ${escapeField(backingPath, "path")}`;
}

/**
 * The distinct backing paths of all files of `trees`, in byte order: the objects without which they cannot be read, as
 * `composefs-info objects` prints them.
 */
export function backingPaths(trees: Iterable<FileTree>): readonly ByteString[] {
  const paths = new Set<ByteString>();
  for (const tree of trees) {
    for (const { inode } of walkTree(tree)) {
      if (inode.kind !== "regular" || inode.content.kind !== "external") continue;
      if (inode.content.backingPath !== undefined) paths.add(inode.content.backingPath);
    }
  }
  return [...paths].sort();
}
