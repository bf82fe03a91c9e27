import { type ByteString, untilNul } from "../bytes/byte-string.ts";
import { assert, OsdeployError } from "../errors.ts";
import type { Directory, FileTree, Inode, Leaf, OpenDirectory } from "./inode.ts";

/** A name that stands for another one; what that is, is only known at the end. */
interface PendingLink {
  readonly directory: OpenDirectory;
  readonly name: ByteString;
  readonly targetPath: ByteString | undefined;
  /** What stands in the directory until then: unlike every other inode. */
  readonly placeholder: Leaf;
  /** What the path leads to: an inode, or another link's placeholder. */
  target: Inode;
  /** Whether the search for its end has come by; coming by twice is a circle. */
  visited: boolean;
}

/** Where the inode of a line goes. */
export interface Place {
  /** Undefined for the root itself. */
  readonly directory: OpenDirectory | undefined;
  readonly name: ByteString;
}

const maxNameLength = 255;

const rootPlace: Place = { directory: undefined, name: "" as ByteString };

/** The tree of a dump while its lines come in: any order, but parents first. */
export class DumpTree {
  readonly #pending: PendingLink[] = [];
  #root: OpenDirectory | undefined;
  /** Lines of one directory mostly follow each other: the last parent's path as it was written, and what it is. */
  #lastParent: { readonly path: string; readonly directory: OpenDirectory } | undefined;

  /**
   * Finds the directory that `path` names an entry of, and checks that the name is free.
   *
   * @throws OsdeployError `bad-format`, mkcomposefs's text.
   */
  place(path: ByteString, isDirectory: boolean): Place {
    if (path === "/") {
      if (!isDirectory) throw bad("Root must be a directory");
      if (this.#root !== undefined) throw bad("Can't have multiple roots");
      return rootPlace;
    }
    const slash = lastSlash(path);
    const directory = this.#parent(path, Math.max(slash, 0));
    const name = path.slice(slash + 1) as ByteString;
    if (name === "." || name === "..") throw bad(`Invalid . or .. in path: ${path}`);
    if (name === "" || name.length > maxNameLength || directory.entries.has(name)) throw bad("Can't add child");
    return { directory, name };
  }

  /** The directory at `text[start…end]`, which escapes nothing; undefined when there is none. */
  directoryOf(text: ByteString, start: number, end: number): OpenDirectory | undefined {
    const last = this.#lastParent;
    if (last?.path.length === end - start && text.startsWith(last.path, start)) return last.directory;
    return this.#lookUpParent(text.slice(start, end));
  }

  #parent(path: ByteString, length: number): OpenDirectory {
    const last = this.#lastParent;
    if (last?.path.length === length && path.startsWith(last.path)) return last.directory;
    const directory = this.#lookUpParent(path.slice(0, length));
    if (directory !== undefined) return directory;
    if (this.#root === undefined) throw bad("Root node not present");
    const isMissing = lookUp(this.#root, path.slice(0, length)) === undefined;
    throw bad(`${isMissing ? "Parent directory missing" : "Parent must be a directory"} for ${path}`);
  }

  /** The directory at `path`, which lines to come are probably in as well. */
  #lookUpParent(path: string): OpenDirectory | undefined {
    const parent = this.#root === undefined ? undefined : lookUp(this.#root, path);
    if (parent?.kind !== "directory") return undefined;
    const directory = parent as OpenDirectory;
    this.#lastParent = { path, directory };
    return directory;
  }

  /** Puts an inode in its place. */
  put(place: Place, inode: Leaf | OpenDirectory): void {
    if (place.directory !== undefined) place.directory.entries.set(place.name, inode);
    else {
      assert(inode.kind === "directory", "only a directory gets the root's place");
      this.#root = inode;
    }
  }

  /** Makes the place a further name for what `targetPath` will turn out to be. */
  link(place: Place, targetPath: ByteString | undefined): void {
    const { directory, name } = place;
    assert(directory !== undefined, "the root is a directory, and no link is one");
    const placeholder = makePlaceholder();
    directory.entries.set(name, placeholder);
    directory.links.add(name);
    this.#pending.push({ directory, name, targetPath, placeholder, target: placeholder, visited: false });
  }

  /**
   * The finished tree, with links led to what they name.
   *
   * @throws OsdeployError `bad-format`, mkcomposefs's text.
   */
  finish(): FileTree {
    const root = this.#root;
    assert(root !== undefined, "the first line of a dump makes the root or is refused");
    const byPlaceholder = new Map<Inode, PendingLink>();
    for (const link of this.#pending.toReversed()) {
      link.target = findTarget(root, link);
      byPlaceholder.set(link.placeholder, link);
    }
    for (const link of this.#pending) link.directory.entries.set(link.name, endOfLinks(link, byPlaceholder));
    return { root };
  }
}

/**
 * Whether `directory` can get the name, and {@link DumpTree.place} would surely say so: with a dot in front it may be one of
 * the two names that none can have.
 */
export function isNewName({ entries }: OpenDirectory, name: ByteString): boolean {
  return name.length > 0 && name.length <= maxNameLength && !name.startsWith(".") && !entries.has(name);
}

/** Names are short, and the built-in search backwards is slow. */
function lastSlash(path: ByteString): number {
  let at = path.length - 1;
  while (at >= 0 && path.charCodeAt(at) !== 0x2f) at -= 1;
  return at;
}

function makePlaceholder(): Leaf {
  const stat = { permissions: 0, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 };
  return { kind: "fifo", stat, xattrs: new Map(), nlink: 1, rdev: 0, claimedSizeBytes: 0n };
}

/** What `path` leads to, from the root; slashes count once, and are needed nowhere but between names. */
function lookUp(root: Directory, path: string): Inode | undefined {
  let inode: Inode = root;
  for (let at = 0; at < path.length; ) {
    const slash = path.indexOf("/", at);
    const end = slash < 0 ? path.length : slash;
    if (end > at) {
      const next: Inode | undefined =
        inode.kind === "directory" ? inode.entries.get(path.slice(at, end) as ByteString) : undefined;
      if (next === undefined) return undefined;
      inode = next;
    }
    at = end + 1;
  }
  return inode;
}

function findTarget(root: Directory, link: PendingLink): Inode {
  if (link.targetPath === undefined) throw bad("No target path for the hardlink");
  const path = untilNul(link.targetPath);
  const target = lookUp(root, path);
  if (target === undefined) throw bad(`No target at ${path} for hardlink`);
  if (target === link.placeholder) throw bad(`Self-referential hardlink ${path}`);
  return target;
}

/** Follows links to links. mkcomposefs fails on a circle like this, or never ends. */
function endOfLinks(first: PendingLink, byPlaceholder: ReadonlyMap<Inode, PendingLink>): Leaf {
  const followed: PendingLink[] = [];
  let link: PendingLink | undefined = first;
  let target: Inode = first.target;
  while (link !== undefined) {
    if (link.visited && byPlaceholder.has(link.target)) {
      throw bad("cannot write file: Too many levels of symbolic links");
    }
    link.visited = true;
    followed.push(link);
    target = link.target;
    link = byPlaceholder.get(target);
  }
  if (target.kind === "directory") throw bad("Directories can't be hardlinked");
  for (const done of followed) done.target = target;
  return target;
}

function bad(message: string): OsdeployError {
  return new OsdeployError("bad-format", message);
}
