import { type ByteString, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Directory, FileContent, FileTree, Inode, Leaf, Stat, Xattrs } from "../core/tree/inode.ts";
import type { FileKind, FileStat, LinuxFiles, Path } from "../linux/linux.ts";

/** How a directory becomes a tree. */
export interface WalkOptions {
  /**
   * Gives the content of a regular file that is not empty: adds it to a repo, or only measures it. Called once for each
   * inode, or for each name where hard links are ignored.
   */
  readonly contentOf: (path: Path, stat: FileStat) => FileContent;
  /** `ignore` makes each name an inode of its own, as mkcomposefs does. */
  readonly hardLinks: "detect" | "ignore";
  readonly devices: "keep" | "skip";
  readonly xattrs: "all" | "user" | "none";
  readonly times: "keep" | "epoch";
  /** What to do where another file system is mounted: go on in it, or leave the directory empty. */
  readonly mounts: "enter" | "leave-empty";
  /** What to do with what is gone when it is looked at: `leave-out` for a directory that others change meanwhile. */
  readonly vanished: "refuse" | "leave-out";
  /**
   * The error to throw where `cause` kept the name at `path` from being read; `cause` when it is left out. Called for that name
   * first, and then for each directory around it with what it made of it.
   */
  readonly failureAt?: (path: Path, cause: unknown) => unknown;
}

/**
 * Reads the directory `path` as a file system whose root it is: all types, names as bytes, attributes and times to the
 * nanosecond. O(names) calls; contents are read by `contentOf` only.
 *
 * A hard link's home is its first name in depth-first byte order; `nlink` counts the names found, whatever lies outside.
 *
 * @throws OsdeployError of `files`; `bad-format` when `path` is no directory.
 */
export function readRootDirectory(files: LinuxFiles, path: Path, options: WalkOptions): FileTree {
  const stat = files.lstat(path);
  if (stat.kind !== "directory") {
    throw new OsdeployError("bad-format", `Cannot read ${toText(path)} as a root: it is not a directory`);
  }
  return { root: readDirectory(path, stat, { files, options, device: deviceOf(stat), leaves: new Map() }) };
}

interface Walk {
  readonly files: LinuxFiles;
  readonly options: WalkOptions;
  /** The file system that the root is on. */
  readonly device: string;
  /** The leaves with several names, by identity. */
  readonly leaves: Map<string, CountedLeaf>;
}

/** A leaf whose names are still being counted. */
type CountedLeaf = Leaf & { nlink: number };

function readDirectory(path: Path, stat: FileStat, walk: Walk): Directory {
  const entries = new Map<ByteString, Inode>();
  const links = new Set<ByteString>();
  const isLeftEmpty = walk.options.mounts === "leave-empty" && deviceOf(stat) !== walk.device;
  for (const name of isLeftEmpty ? [] : walk.files.readDirectory(path)) {
    const found = unlessVanished(`${path}/${name}` as Path, walk);
    if (found === undefined) continue;
    if (found.isLink) links.add(name);
    entries.set(name, found.inode);
  }
  return { kind: "directory", entries, links, ...commonOf(path, stat, walk) };
}

interface NamedInode {
  readonly inode: Inode;
  /** Whether it was found under another name before. */
  readonly isLink: boolean;
}

/** What is made anew under its name again and again is somebody's mistake. */
const mostTries = 10;

function unlessVanished(path: Path, walk: Walk): NamedInode | undefined {
  for (let tries = 1; ; tries++) {
    try {
      return readName(path, walk);
    } catch (error) {
      const isGone = error instanceof OsdeployError && error.code === "not-found";
      if (!isGone || walk.options.vanished === "refuse") throw walk.options.failureAt?.(path, error) ?? error;
      if (walk.files.lstatIfExists(path) === undefined) return undefined;
      // It was replaced: to leave it out would be to say that it was removed.
      if (tries === mostTries) throw error;
    }
  }
}

/** Undefined for what is passed over. */
function readName(path: Path, walk: Walk): NamedInode | undefined {
  const found = walk.files.lstat(path);
  if (walk.options.devices === "skip" && isDevice(found)) return undefined;
  const known = walk.leaves.get(found.identity);
  if (known === undefined) return { inode: readInode(path, found, walk), isLink: false };
  known.nlink++;
  return { inode: known, isLink: true };
}

function readInode(path: Path, stat: FileStat, walk: Walk): Inode {
  const { kind } = stat;
  if (kind === "directory") return readDirectory(path, stat, walk);
  const leaf: CountedLeaf = readLeaf(kind, { path, stat }, walk);
  if (walk.options.hardLinks === "detect" && stat.nlink > 1) walk.leaves.set(stat.identity, leaf);
  return leaf;
}

function readLeaf(
  kind: Exclude<FileKind, "directory">,
  { path, stat }: { readonly path: Path; readonly stat: FileStat },
  walk: Walk,
): CountedLeaf {
  const common = { ...commonOf(path, stat, walk), nlink: 1 };
  switch (kind) {
    case "regular":
      return { kind, content: contentOf(path, stat, walk), ...common };
    case "symlink":
      return { kind, target: walk.files.readLink(path), ...common };
    default:
      return { kind, rdev: stat.rdev, claimedSizeBytes: 0n, ...common };
  }
}

function contentOf(path: Path, stat: FileStat, walk: Walk): FileContent {
  return stat.sizeBytes === 0 ? { kind: "inline", bytes: "" as ByteString } : walk.options.contentOf(path, stat);
}

function commonOf(path: Path, stat: FileStat, walk: Walk): { readonly stat: Stat; readonly xattrs: Xattrs } {
  const { permissions, uid, gid } = stat;
  const isKept = walk.options.times === "keep";
  return {
    stat: {
      ...{ permissions, uid, gid },
      mtimeSeconds: isKept ? stat.mtimeSeconds : 0n,
      mtimeNanoseconds: isKept ? stat.mtimeNanoseconds : 0,
    },
    xattrs: xattrsOf(path, walk),
  };
}

function xattrsOf(path: Path, { files, options }: Walk): Xattrs {
  if (options.xattrs === "none") return new Map();
  const xattrs = files.xattrs(path);
  return options.xattrs === "all" ? xattrs : new Map([...xattrs].filter(([key]) => key.startsWith("user.")));
}

function isDevice(stat: FileStat): boolean {
  return stat.kind === "character-device" || stat.kind === "block-device";
}

/** The part of an identity that all files of one file system share. */
function deviceOf(stat: FileStat): string {
  return stat.identity.slice(0, Math.max(stat.identity.indexOf(":"), 0));
}
