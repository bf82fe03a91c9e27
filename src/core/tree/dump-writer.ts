import { type ByteString, compareBytes } from "../bytes/byte-string.ts";
import { escapeField } from "./dump-escape.ts";
import { fileType } from "./file-type.ts";
import type { Directory, FileTree, Inode, Leaf, Xattrs } from "./inode.ts";
import { type TreeEntry, walkTree } from "./walk-tree.ts";

/** What a dump shows besides the tree. */
export interface DumpTextOptions {
  /** Sizes to show for directories, in bytes; 0 where it is not said. Whoever reads a dump ignores them. */
  readonly directorySizes?: ReadonlyMap<Directory, bigint>;
  /** Numbers of links to show for directories; counted in the tree where it is not said. */
  readonly directoryLinks?: ReadonlyMap<Directory, number>;
  /** "sorted" by key when it is not said, so that equal trees have equal dumps. composefs-info shows them as stored. */
  readonly xattrOrder?: "sorted" | "stored";
}

/**
 * `tree` as composefs-dump(5) text, as composefs-info writes it: depth-first in byte order of the names.
 *
 * `parseDump(writeDump(tree))` is the tree again.
 *
 * @see https://github.com/composefs/composefs/blob/main/man/composefs-dump.md
 */
export function writeDump(tree: FileTree, options: DumpTextOptions = {}): ByteString {
  return [...dumpLines(tree, options)].join("") as ByteString;
}

/** The same line by line, each with its newline: for trees whose dump would be too long for one string. */
export function* dumpLines(tree: FileTree, options: DumpTextOptions = {}): Generator<ByteString> {
  const homes = homesOfLinks(tree);
  for (const entry of walkTree(tree)) yield dumpLine(entry, { ...options, homes });
}

/** Path of the own name of each leaf that has further ones. */
type Homes = ReadonlyMap<Inode, ByteString>;

function homesOfLinks(tree: FileTree): Homes {
  const linked = new Set<Inode>();
  for (const { inode, isLink } of walkTree(tree)) if (isLink) linked.add(inode);
  const homes = new Map<Inode, ByteString>();
  if (linked.size === 0) return homes;
  for (const { path, inode, isLink } of walkTree(tree)) {
    if (!isLink && linked.has(inode)) homes.set(inode, path);
  }
  return homes;
}

function dumpLine(entry: TreeEntry, options: DumpTextOptions & { readonly homes: Homes }): ByteString {
  const { inode, isLink, path } = entry;
  const { permissions, uid, gid, mtimeSeconds, mtimeNanoseconds } = inode.stat;
  const facts = factsOf(inode, options);
  const payload = isLink ? options.homes.get(inode) : facts.payload;
  const fields = [
    escapeField(path, "path"),
    facts.sizeBytes,
    `${isLink ? "@" : ""}${(fileType[inode.kind] | permissions).toString(8)}`,
    facts.nlink,
    uid,
    gid,
    facts.rdev,
    `${mtimeSeconds}.${mtimeNanoseconds}`,
    optional(payload),
    optional(facts.content),
    facts.digest ?? "-",
    ...xattrFields(inode.xattrs, options.xattrOrder),
  ];
  return `${fields.join(" ")}\n` as ByteString;
}

/** The fields of a line that depend on the kind of inode. */
interface LineFacts {
  readonly sizeBytes: bigint | number;
  readonly nlink: number;
  readonly rdev: number;
  readonly payload?: ByteString | undefined;
  readonly content?: ByteString | undefined;
  readonly digest?: string | undefined;
}

function factsOf(inode: Inode, { directorySizes, directoryLinks }: DumpTextOptions): LineFacts {
  switch (inode.kind) {
    case "directory": {
      const nlink = directoryLinks?.get(inode) ?? countLinks(inode);
      return { sizeBytes: directorySizes?.get(inode) ?? 0, nlink, rdev: 0 };
    }
    case "regular":
      return { nlink: inode.nlink, rdev: 0, ...contentFacts(inode.content) };
    case "symlink":
      return { sizeBytes: inode.target.length, nlink: inode.nlink, rdev: 0, payload: inode.target };
    default:
      return { sizeBytes: inode.claimedSizeBytes, nlink: inode.nlink, rdev: inode.rdev };
  }
}

function contentFacts(
  content: Extract<Leaf, { kind: "regular" }>["content"],
): Pick<LineFacts, "sizeBytes" | "payload" | "content" | "digest"> {
  if (content.kind === "external") {
    return { sizeBytes: content.sizeBytes, payload: content.backingPath, digest: content.digest };
  }
  return { sizeBytes: content.bytes.length, content: content.bytes.length === 0 ? undefined : content.bytes };
}

/** A directory's own name, its `.`, and the `..` of those in it. */
function countLinks(directory: Directory): number {
  let links = 2;
  for (const inode of directory.entries.values()) if (inode.kind === "directory") links += 1;
  return links;
}

function optional(bytes: ByteString | undefined): string {
  return bytes === undefined ? "-" : escapeField(bytes, "optional");
}

function xattrFields(xattrs: Xattrs, order: DumpTextOptions["xattrOrder"]): string[] {
  if (xattrs.size === 0) return [];
  const entries = [...xattrs];
  if (order !== "stored") entries.sort(([a], [b]) => compareBytes(a, b));
  return entries.map(([key, value]) => `${escapeField(key, "xattr")}=${escapeField(value, "xattr")}`);
}
