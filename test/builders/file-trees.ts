import { type ByteString, fromText } from "../../src/core/bytes/byte-string.ts";
import type { Directory, FileTree, Inode, Leaf, Stat, Xattrs } from "../../src/core/tree/inode.ts";

/** The metadata that builders give where a test does not care. */
export const plainStat: Stat = { permissions: 0o644, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 };

const noXattrs: Xattrs = new Map();

/** A regular file with its content inline. */
export function file(content: string, changes: Partial<Stat> = {}, xattrs: Xattrs = noXattrs): Leaf {
  return {
    kind: "regular",
    stat: { ...plainStat, ...changes },
    xattrs,
    nlink: 1,
    content: { kind: "inline", bytes: fromText(content) },
  };
}

/** A regular file whose content is an object. */
export function objectFile(sizeBytes: bigint, digest: string): Leaf {
  const backingPath = fromText(`${digest.slice(0, 2)}/${digest.slice(2)}`);
  return {
    kind: "regular",
    stat: plainStat,
    xattrs: noXattrs,
    nlink: 1,
    content: { kind: "external", sizeBytes, backingPath, digest },
  };
}

/** A symlink. */
export function symlink(target: string): Leaf {
  return {
    kind: "symlink",
    stat: { ...plainStat, permissions: 0o777 },
    xattrs: noXattrs,
    nlink: 1,
    target: fromText(target),
  };
}

/** A device, FIFO or socket. */
export function special(kind: "character-device" | "block-device" | "fifo" | "socket", rdev = 0): Leaf {
  return { kind, stat: plainStat, xattrs: noXattrs, nlink: 1, rdev, claimedSizeBytes: 0n };
}

/** A directory; the names are text. */
export function directory(
  entries: Readonly<Record<string, Inode>>,
  changes: Partial<Stat> = {},
  xattrs: Xattrs = noXattrs,
): Directory {
  const named = Object.entries(entries).map(([name, inode]): [ByteString, Inode] => [fromText(name), inode]);
  return {
    kind: "directory",
    stat: { ...plainStat, permissions: 0o755, ...changes },
    xattrs,
    entries: new Map(named),
    links: new Set(),
  };
}

/** A tree whose root holds `entries`. */
export function tree(entries: Readonly<Record<string, Inode>>): FileTree {
  return { root: directory(entries) };
}
