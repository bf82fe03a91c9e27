import { createHash } from "node:crypto";
import { type ByteString, toBytes } from "../../src/core/bytes/byte-string.ts";
import type { Directory, FileContent, FileTree, Inode } from "../../src/core/tree/inode.ts";
import { sortedEntries } from "../../src/core/tree/tree-path.ts";
import type { SeenEntry } from "./seen-tree.ts";

/**
 * What a user sees of `tree` through the kernel, in walking order. `readContent` gives the sha256 that a file's content has.
 *
 * What a kernel never shows is left out: attributes outside the namespaces security, trusted and user; `user.` ones on
 * anything but files and directories; ACLs; capabilities that are none. The id 2^32-1 stands for none and is shown as 65534.
 */
export function expectedEntries(
  tree: FileTree,
  { version = 1, readContent = inlineDigest }: Partial<Context> = {},
): readonly SeenEntry[] {
  const entries: SeenEntry[] = [];
  const firstPaths = new Map<Inode, string>();
  const visit = (inode: Inode, path: string): void => {
    if (!firstPaths.has(inode)) firstPaths.set(inode, path);
    entries.push(expectedEntry(inode, path, { version, readContent, sameAs: firstPaths.get(inode) ?? path }));
    if (inode.kind === "directory") visitChildren(inode, path, visit);
  };
  visit(tree.root, "");
  return entries;
}

function visitChildren(directory: Directory, path: string, visit: (inode: Inode, path: string) => void): void {
  for (const [name, child] of sortedEntries(directory)) visit(child, path === "" ? name : `${path}/${name}`);
}

interface Context {
  /** The version of the image's format. */
  readonly version: 0 | 1;
  readonly readContent: (content: FileContent) => string | undefined;
}

function expectedEntry(
  inode: Inode,
  path: string,
  { sameAs, version, readContent }: Context & { readonly sameAs: string },
): SeenEntry {
  const { permissions, uid, gid, mtimeSeconds, mtimeNanoseconds } = inode.stat;
  const common = {
    path,
    kind: inode.kind,
    permissions,
    owner: `${shownId(uid)}:${shownId(gid)}`,
    mtime: String(mtimeSeconds * 1_000_000_000n + BigInt(mtimeNanoseconds)),
    xattrs: expectedXattrs(inode, version),
  };
  if (inode.kind === "directory") return common;
  const leaf = { ...common, nlink: inode.nlink, sameAs };
  if (inode.kind === "symlink") return { ...leaf, target: inode.target };
  if (isWhiteout(inode)) return { ...leaf, kind: "regular", size: "0", content: emptyDigest };
  if (inode.kind !== "regular") return inode.kind.endsWith("device") ? { ...leaf, rdev: inode.rdev } : leaf;
  const content = readContent(inode.content);
  return { ...leaf, size: String(sizeOf(inode.content)), ...(content === undefined ? {} : { content }) };
}

function shownId(id: number): number {
  return id === 0xffffffff ? 65534 : id;
}

/** Whiteouts and what marks their directory are shown in the form that an overlay on top of this one would read. */
function expectedXattrs(inode: Inode, version: 0 | 1): readonly string[] {
  const shown = new Map<string, string>();
  for (const [name, value] of inode.xattrs) if (isShown(name, value, inode)) shown.set(name, hex(value));
  const marks = isWhiteout(inode) ? whiteoutMarks : holdsWhiteout(inode) ? directoryMarks[version] : [];
  for (const name of ["trusted.overlay.", "user.overlay."]) {
    for (const [mark, value] of marks) shown.set(`${name}${mark}`, value);
  }
  return Array.from(shown, ([name, value]) => `${name}=${value}`).sort();
}

const whiteoutMarks = [["whiteout", "0x"]] as const;
const directoryMarks = {
  0: [["whiteouts", "0x"]],
  1: [
    ["opaque", "0x78"],
    ["whiteouts", "0x"],
  ],
} as const;
const emptyDigest = createHash("sha256").digest("hex");

function isShown(name: string, value: ByteString, inode: Inode): boolean {
  if (/^user\../s.test(name)) return ["regular", "directory"].includes(inode.kind) || isWhiteout(inode);
  if (name === "security.capability") return value.length === 20;
  return /^(security|trusted)\../s.test(name);
}

function isWhiteout(inode: Inode): boolean {
  return inode.kind === "character-device" && inode.rdev === 0;
}

/** Whether a whiteout's own name is in the directory; composefs does not mark it for a further name of a hard link. */
function holdsWhiteout(inode: Inode): boolean {
  if (inode.kind !== "directory") return false;
  return [...inode.entries].some(([name, child]) => isWhiteout(child) && !inode.links.has(name));
}

function hex(value: ByteString): string {
  return `0x${Buffer.from(toBytes(value)).toString("hex")}`;
}

function sizeOf(content: FileContent): bigint {
  return content.kind === "inline" ? BigInt(content.bytes.length) : content.sizeBytes;
}

/** sha256 of inline content; undefined for an object. */
export function inlineDigest(content: FileContent): string | undefined {
  if (content.kind === "external") return undefined;
  return createHash("sha256").update(toBytes(content.bytes)).digest("hex");
}
