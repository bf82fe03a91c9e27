import { type ByteString, toText } from "../../src/core/bytes/byte-string.ts";
import type { Directory, FileTree, Inode, Leaf } from "../../src/core/tree/inode.ts";
import { sortedEntries } from "../../src/core/tree/tree-path.ts";

/**
 * A tree as lines for people to compare: one for each name, in depth-first byte order, with all that decides an image. A
 * further name of a leaf says so and names the first.
 */
export function showTree(tree: FileTree): string {
  const lines: string[] = [];
  showInode(tree.root, "/" as ByteString, { lines, homes: new Map() });
  return `${lines.join("\n")}\n`;
}

interface Showing {
  readonly lines: string[];
  readonly homes: Map<Leaf, string>;
}

function showInode(inode: Inode, path: ByteString, showing: Showing): void {
  const shown = JSON.stringify(path);
  if (inode.kind === "directory") {
    showing.lines.push(`${shown} ${describeInode(inode)}`);
    showEntries(inode, path, showing);
    return;
  }
  const home = showing.homes.get(inode);
  showing.homes.set(inode, home ?? shown);
  showing.lines.push(home === undefined ? `${shown} ${describeInode(inode)}` : `${shown} link to ${home}`);
}

function showEntries(directory: Directory, path: ByteString, showing: Showing): void {
  for (const [name, inode] of sortedEntries(directory)) {
    showInode(inode, `${path === "/" ? "" : path}/${name}` as ByteString, showing);
  }
}

function describeInode(inode: Inode): string {
  const { permissions, uid, gid, mtimeSeconds, mtimeNanoseconds } = inode.stat;
  const xattrs = [...inode.xattrs]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${toText(key)}=${JSON.stringify(value)}`);
  const links =
    inode.kind === "directory" ? `links ${[...inode.links].map(toText).sort().join(",")}` : `nlink ${inode.nlink}`;
  const time = `${mtimeSeconds}.${String(mtimeNanoseconds).padStart(9, "0")}`;
  return [inode.kind, permissions.toString(8), `${uid}:${gid}`, time, links, describeContent(inode), ...xattrs].join(
    " ",
  );
}

function describeContent(inode: Inode): string {
  switch (inode.kind) {
    case "regular": {
      const { content } = inode;
      if (content.kind === "inline") return JSON.stringify(content.bytes);
      return `${content.sizeBytes} bytes in ${content.backingPath} ${content.digest}`;
    }
    case "symlink":
      return `-> ${JSON.stringify(inode.target)}`;
    case "directory":
      return "";
    default:
      return `rdev ${inode.rdev}`;
  }
}

/**
 * The paths of a tree in depth-first byte order; a further name of a leaf as `PATH -> FIRST`. With `content`, inline
 * contents and link counts too.
 */
export function showNames(tree: FileTree, options: { readonly content?: boolean } = {}): readonly string[] {
  const homes = new Map<Leaf, string>();
  const lines: string[] = [];
  const show = (inode: Inode, path: string) => {
    if (inode.kind === "directory") {
      lines.push(path);
      for (const [name, child] of sortedEntries(inode)) show(child, `${path === "/" ? "" : path}/${name}`);
      return;
    }
    const home = homes.get(inode);
    homes.set(inode, home ?? path);
    const content = options.content === true ? ` ${describeContent(inode)} nlink ${inode.nlink}` : "";
    lines.push(home === undefined ? `${path}${content}` : `${path} -> ${home}`);
  };
  show(tree.root, "/");
  return lines;
}
