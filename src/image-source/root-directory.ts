import { type ByteString, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Directory, FileContent, FileTree, Leaf, OpenDirectory, Stat, Xattrs } from "../core/tree/inode.ts";
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
  /** The error to throw where `cause` kept the name at `path` from being read; `cause` when this is left out. */
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
  const walk: Walk = { files, options, device: deviceOf(stat), leaves: new Map() };
  return { root: readOpened(openDirectory(path, stat, walk), walk) };
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

/** A directory that is being read. */
interface OpenedDirectory {
  readonly kind: "opened";
  readonly path: Path;
  readonly directory: OpenDirectory;
  /** Those still to be read. */
  readonly names: Iterator<ByteString>;
  /** Whether a name was left out. */
  lacksNames: boolean;
}

interface NamedLeaf {
  readonly kind: "leaf";
  readonly leaf: Leaf;
  /** Whether it was found under another name before. */
  readonly isLink: boolean;
}

function openDirectory(path: Path, stat: FileStat, walk: Walk): OpenedDirectory {
  const common = commonOf(path, stat, walk);
  const isLeftEmpty = walk.options.mounts === "leave-empty" && deviceOf(stat) !== walk.device;
  const names = isLeftEmpty ? [] : walk.files.readDirectory(path);
  const directory: OpenDirectory = { kind: "directory", entries: new Map(), links: new Set(), ...common };
  return { kind: "opened", path, directory, names: names.values(), lacksNames: false };
}

/** Does not recurse: directories can be deeper in each other than calls can. */
function readOpened(root: OpenedDirectory, walk: Walk): Directory {
  const above: { readonly holder: OpenedDirectory; readonly name: ByteString }[] = [];
  for (let here = root; ; ) {
    const next = here.names.next();
    if (next.done !== true) {
      // Only the root's path can end in a slash.
      const path = `${here.path}${here.path.endsWith("/") ? "" : "/"}${next.value}` as Path;
      const found = unlessVanished(path, walk);
      if (found?.kind === "opened") {
        above.push({ holder: here, name: next.value });
        here = found;
      } else addFound(here, next.value, found);
      continue;
    }
    const around = above.pop();
    if (around === undefined) return here.directory;
    if (!hasVanished(here, walk)) around.holder.directory.entries.set(around.name, here.directory);
    here = around.holder;
  }
}

function addFound(to: OpenedDirectory, name: ByteString, found: NamedLeaf | undefined): void {
  if (found === undefined) to.lacksNames = true;
  else {
    if (found.isLink) to.directory.links.add(name);
    to.directory.entries.set(name, found.leaf);
  }
}

/** What was in a directory that was removed while it was read went first. */
function hasVanished({ path, lacksNames }: OpenedDirectory, { files, options }: Walk): boolean {
  return lacksNames && options.vanished === "leave-out" && files.lstatIfExists(path) === undefined;
}

/** What is made anew under its name again and again is somebody's mistake. */
const mostTries = 10;

function unlessVanished(path: Path, walk: Walk): OpenedDirectory | NamedLeaf | undefined {
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
function readName(path: Path, walk: Walk): OpenedDirectory | NamedLeaf | undefined {
  const found = walk.files.lstat(path);
  if (walk.options.devices === "skip" && isDevice(found)) return undefined;
  const { kind } = found;
  if (kind === "directory") return openDirectory(path, found, walk);
  const known = walk.leaves.get(found.identity);
  if (known !== undefined) {
    known.nlink++;
    return { kind: "leaf", leaf: known, isLink: true };
  }
  const leaf = readLeaf(kind, { path, stat: found }, walk);
  if (walk.options.hardLinks === "detect" && found.nlink > 1) walk.leaves.set(found.identity, leaf);
  return { kind: "leaf", leaf, isLink: false };
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
