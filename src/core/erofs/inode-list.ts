import { type ByteString, toText } from "../bytes/byte-string.ts";
import { assert, OsdeployError } from "../errors.ts";
import { FileRow } from "../tree/file-rows.ts";
import { fileType } from "../tree/file-type.ts";
import type { Directory, FileTree, Inode, RegularFile, SpecialFile, Symlink, Xattrs } from "../tree/inode.ts";
import { XattrBudget } from "../tree/xattr-budget.ts";
import { maxInlineLength, maxNameLength, maxTargetLength, overlayKey } from "./format.ts";
import { InodeRecords, nlinkWord, recordWords } from "./inode-records.ts";
import type { ObjectDigests } from "./object-digests.ts";
import { countOutside } from "./outside-files.ts";
import type { XattrSet } from "./xattr-set.ts";
import { escapeKey, XattrTable } from "./xattr-table.ts";

/** A directory's names in byte order, `.` and `..` among them, and the number of the inode that each leads to. */
export interface DirectoryEntries {
  readonly names: readonly ByteString[];
  readonly targets: number[];
}

/**
 * What an image says of its inodes, besides where they are. All is by inode number, which is the place in the breadth-first
 * order: an object for each inode would be one more for each file of an operating system.
 */
export interface InodeList {
  readonly records: InodeRecords;
  /** What each is in the tree. A whiteout of the tree is a regular file in the image, and its record says so. */
  readonly sources: readonly Inode[];
  /** Of the directories, by inode number. */
  readonly entries: ReadonlyMap<number, DirectoryEntries>;
  /** Without those for content outside. */
  readonly xattrSets: readonly XattrSet[];
  readonly xattrs: XattrTable;
  /** Of files whose record says {@link outside.byDigest}. */
  readonly digests: ObjectDigests | undefined;
  /** The format version: 1 adds marks to directories that hold whiteouts. */
  readonly version: 0 | 1;
}

/** The version to write, or the range from which the lowest that can say everything is taken. */
export type ErofsVersion = 0 | 1 | { readonly min: number; readonly max: number };

/**
 * Numbers the inodes of `tree` breadth-first and turns them into what the image has to say below an overlay: whiteouts
 * and overlayfs's own xattrs become escaped ones, outside content becomes metacopy and redirect, and the root gets the
 * 256 whiteouts that keep the names of object directories from showing through.
 *
 * Does not recurse. O(inodes log names).
 *
 * @throws OsdeployError `bad-format` with libcomposefs's text where it fails as well, or when a name or target is too
 * long; `limit-exceeded` when xattrs do not fit.
 */
export function listInodes(tree: FileTree, version: ErofsVersion): InodeList {
  const { min, max } = typeof version === "number" ? { min: version, max: version } : version;
  if (!isVersion(min) || !isVersion(Math.max(min, max))) throw cannotWrite("Invalid argument");
  const collector = new InodeCollector(tree.root);
  const chosen = min < max && collector.hasWhiteouts ? 1 : min;
  collector.finish(chosen);
  const { records, sources, entries, xattrSets, xattrs } = collector;
  const digests = countOutside(records, sources, xattrs.overlay);
  return { records, sources, entries, xattrSets, xattrs, digests, version: chosen };
}

function isVersion(number: number): number is 0 | 1 {
  return number === 0 || number === 1;
}

const dot = "." as ByteString;
const dotDot = ".." as ByteString;
const selinuxKey = "security.selinux" as ByteString;
const noXattrs: Xattrs = new Map();

/** A directory in the queue of the walk. */
interface QueuedDirectory {
  readonly source: Directory;
  readonly number: number;
  readonly entries: DirectoryEntries;
  /** What its names lead to in the tree. */
  readonly children: readonly (Inode | undefined)[];
  /** For the root: itself. */
  readonly parent: number;
  holdsWhiteouts: boolean;
}

/** Walks a tree level by level. */
class InodeCollector {
  readonly records: InodeRecords;
  readonly sources: Inode[] = [];
  readonly entries = new Map<number, DirectoryEntries>();
  readonly xattrSets: XattrSet[] = [];
  readonly xattrs = new XattrTable();
  hasWhiteouts = false;
  readonly #directories: QueuedDirectory[] = [];
  readonly #seen = new Set<Directory>();
  /** Where further names of an inode are; what it is in the image is known only at the end. */
  readonly #links: { readonly entries: DirectoryEntries; readonly index: number; readonly leaf: Inode }[] = [];
  /** Directories have none until the version is known. */
  readonly #emptySet = this.xattrs.plain(noXattrs);
  /** What the root gets for the names of object directories that it does not have. */
  readonly #stub: SpecialFile;

  constructor(root: Directory) {
    const label = root.xattrs.get(selinuxKey);
    this.#stub = {
      kind: "character-device",
      stat: { ...root.stat, permissions: 0o644 },
      xattrs: label === undefined ? noXattrs : new Map([[selinuxKey, label]]),
      nlink: 1,
      rdev: 0,
      claimedSizeBytes: 0n,
    };
    this.records = new InodeRecords(1 + countEntries(root) + objectDirectoryNames.length);
    this.#addDirectory(root, undefined);
    // The queue grows while it is walked.
    for (const directory of this.#directories) this.#addEntries(directory);
    if (this.#links.length > 0) this.#resolveLinks();
  }

  /** Decides the xattrs of the directories, which depend on the version. */
  finish(version: 0 | 1): void {
    for (const directory of this.#directories) {
      this.xattrSets[directory.number] = this.#directoryXattrs(directory, version);
    }
  }

  /** Adds an inode, and returns its number. */
  #add(source: Inode, type: number, xattrs: XattrSet): number {
    this.xattrSets.push(xattrs);
    this.sources.push(source);
    return source instanceof FileRow ? this.records.addRow(source) : this.records.add(source, type);
  }

  #addDirectory(source: Directory, parent: number | undefined): number {
    assert(!this.#seen.has(source), "a directory has one name");
    this.#seen.add(source);
    const { names, children } = sortedEntries(source, parent === undefined);
    const entries = { names, targets: [] };
    const number = this.#add(source, fileType.directory, this.#emptySet);
    this.entries.set(number, entries);
    this.#directories.push({ source, number, entries, children, parent: parent ?? number, holdsWhiteouts: false });
    return number;
  }

  #addEntries(directory: QueuedDirectory): void {
    const { source, number, entries, children } = directory;
    const { names, targets } = entries;
    const hasLinks = source.links.size > 0;
    let subdirectories = 0;
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as ByteString;
      const child = children[i];
      if (child === undefined) targets.push(this.#addedTarget(name, directory));
      else if (hasLinks && source.links.has(name)) {
        this.#links.push({ entries, index: i, leaf: child });
        targets.push(number);
      } else if (child.kind === "directory") {
        subdirectories += 1;
        targets.push(this.#addDirectory(child, number));
      } else targets.push(child.kind === "regular" ? this.#addFile(child) : this.#addLeaf(child, directory));
    }
    // Its own name, its dot, and the two dots of those in it.
    this.records.words[number * recordWords + nlinkWord] = 2 + subdirectories;
  }

  #addFile(file: RegularFile): number {
    // A row's content cannot be wrong.
    if (!(file instanceof FileRow)) checkContent(file.content);
    return this.#add(file, fileType.regular, this.xattrs.plain(file.xattrs));
  }

  /** What a name leads to that is not in the tree: `.`, `..`, or a whiteout in the root. */
  #addedTarget(name: ByteString, directory: QueuedDirectory): number {
    if (name === dot) return directory.number;
    if (name === dotDot) return directory.parent;
    return this.#addPlain(this.#stub);
  }

  #addLeaf(leaf: Symlink | SpecialFile, directory: QueuedDirectory): number {
    if (leaf.kind === "character-device" && leaf.rdev === 0) return this.#addWhiteout(leaf, directory);
    if (leaf.kind === "symlink") checkTarget(leaf.target);
    return this.#addPlain(leaf);
  }

  #addPlain(leaf: Symlink | SpecialFile): number {
    return this.#add(leaf, fileType[leaf.kind], this.xattrs.plain(leaf.xattrs));
  }

  /** An overlay above must show the whiteout, not obey it: so it becomes an empty file that says what it is. */
  #addWhiteout(leaf: SpecialFile, directory: QueuedDirectory): number {
    this.hasWhiteouts = true;
    directory.holdsWhiteouts = true;
    const budget = new XattrBudget(escaped(leaf));
    setXattr(budget, overlayKey.whiteout, "");
    setXattr(budget, overlayKey.userWhiteout, "");
    return this.#add(leaf, fileType.regular, this.xattrs.exact(budget.xattrs));
  }

  #resolveLinks(): void {
    const wanted = new Map<Inode, number | undefined>(this.#links.map(({ leaf }) => [leaf, undefined]));
    for (const [number, source] of this.sources.entries()) {
      if (wanted.has(source)) wanted.set(source, number);
    }
    for (const { entries, index, leaf } of this.#links) {
      const target = wanted.get(leaf);
      assert(target !== undefined, "each inode has one name that is no link");
      entries.targets[index] = target;
    }
  }

  #directoryXattrs(directory: QueuedDirectory, version: 0 | 1): XattrSet {
    const { source, number, parent, holdsWhiteouts } = directory;
    const isRoot = parent === number;
    if (!isRoot && !holdsWhiteouts) return this.xattrs.plain(source.xattrs);
    const budget = new XattrBudget(escaped(source));
    if (holdsWhiteouts) {
      setXattr(budget, overlayKey.whiteouts, "");
      setXattr(budget, overlayKey.userWhiteouts, "");
      if (version === 1) setXattr(budget, overlayKey.escapedOpaque, "x");
      if (version === 1) setXattr(budget, overlayKey.userOpaque, "x");
    }
    if (isRoot) setXattr(budget, overlayKey.opaque, "y");
    return this.xattrs.exact(budget.xattrs);
  }
}

function escaped(inode: Inode): [ByteString, ByteString][] {
  return Array.from(inode.xattrs, ([key, value]) => [escapeKey(key), value]);
}

function setXattr(budget: XattrBudget, key: string, value: string): void {
  if (!budget.set(key as ByteString, value as ByteString)) throw cannotWrite("Numerical result out of range");
}

/** How many names there are in all directories: hard links count each. */
function countEntries(root: Directory): number {
  const directories = [root];
  let count = 0;
  // It grows while it is walked.
  for (const { entries } of directories) {
    count += entries.size;
    for (const child of entries.values()) if (child.kind === "directory") directories.push(child);
  }
  return count;
}

interface SortedEntries {
  readonly names: ByteString[];
  readonly children: (Inode | undefined)[];
}

/**
 * All names of a directory in the image, and what they lead to where that is in the tree; the default order of strings is
 * that of their bytes.
 */
function sortedEntries(directory: Directory, isRoot: boolean): SortedEntries {
  const names = [dot, dotDot];
  const children: (Inode | undefined)[] = [undefined, undefined];
  let isSorted = true;
  let last = dotDot;
  directory.entries.forEach((child, name) => {
    checkName(name);
    // Most trees have their names in order already.
    if (name < last) isSorted = false;
    names.push(name);
    children.push(child);
    last = name;
  });
  if (isSorted && !isRoot) return { names, children };
  if (isRoot) names.push(...objectDirectoryNames.filter((name) => !directory.entries.has(name)));
  names.sort();
  return { names, children: names.map((name) => directory.entries.get(name)) };
}

const objectDirectoryNames = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0") as ByteString);

// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL ends a name and so cannot be in it
const notInNames = /[\x00/]/;

function checkName(name: ByteString): void {
  if (name.length === 0 || name.length > maxNameLength || notInNames.test(name) || name === dot || name === dotDot) {
    throw new OsdeployError(
      "bad-format",
      `Cannot write a root image: "${toText(name).slice(0, 300)}" cannot be a file's name`,
    );
  }
}

function checkTarget(target: ByteString): void {
  if (target.length === 0 || target.length > maxTargetLength || target.includes("\0")) {
    throw new OsdeployError(
      "bad-format",
      `Cannot write a root image: "${toText(target).slice(0, 300)}" cannot be a symlink's target`,
    );
  }
}

function checkContent(content: RegularFile["content"]): void {
  if (content.kind === "inline") {
    if (content.bytes.length <= maxInlineLength) return;
    throw new OsdeployError(
      "limit-exceeded",
      `Cannot write a root image: a file of ${content.bytes.length} bytes is too large to be inline`,
    );
  }
  assert(content.sizeBytes > 0n, "a file without bytes is inline");
  if (content.backingPath !== undefined && content.backingPath.length > maxTargetLength) {
    throw new OsdeployError(
      "limit-exceeded",
      `Cannot write a root image: a backing path has ${content.backingPath.length} bytes`,
    );
  }
}

/** libcomposefs fails here as well: the text is its own, since the `composefs` commands are a drop-in. */
export function cannotWrite(reason: string): OsdeployError {
  return new OsdeployError("bad-format", `cannot write file: ${reason}`);
}

/** The bytes that the image holds: a symlink's target or a file's inline content. */
export function dataOf(source: Inode): ByteString {
  if (source.kind === "symlink") return source.target;
  return source.kind === "regular" && source.content.kind === "inline" ? source.content.bytes : noData;
}

const noData = "" as ByteString;
