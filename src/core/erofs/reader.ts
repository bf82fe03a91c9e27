import { ByteReader } from "../bytes/byte-reader.ts";
import type { ByteString } from "../bytes/byte-string.ts";
import type { Directory, FileTree, Inode, Leaf, OpenDirectory } from "../tree/inode.ts";
import { checkName, InodeReader, type RawDirectory } from "./inode-reader.ts";
import { homesByNid, homesDepthFirst } from "./leaf-homes.ts";
import { RawImage, type RawInode } from "./raw-image.ts";
import type { ErofsView } from "./raw-xattrs.ts";
import { type Superblock, unreadable } from "./superblock.ts";

/** What is read at most; who reads the file asks. An image is 12 MB for 38 000 files; this allows six million. */
export const erofsLimitBytes: number = 2 * 1024 * 1024 * 1024;

/** How to read an image. */
export interface ReadOptions {
  /** "tree" when it is not said. */
  readonly view?: ErofsView;
  /** Only these names of the root, and what is below them. */
  readonly rootEntries?: ReadonlySet<ByteString>;
}

/** An image as values, and what it says of itself. */
export interface ErofsImage {
  readonly tree: FileTree;
  readonly superblock: Superblock;
  /** The size that each directory has in the image, in bytes. */
  readonly directorySizes: ReadonlyMap<Directory, bigint>;
  /** The number of links that each directory has in the image, whatever part of it was read. */
  readonly directoryLinks: ReadonlyMap<Directory, number>;
}

/**
 * The tree that a root image was made of: `writeErofs(readErofs(image))` in the same version gives the image again, unless
 * its files carried xattrs that mean something to overlayfs.
 *
 * Formats 0, 1 and 2. `image` may be anybody's: each offset is checked, time and memory stay linear in its length, nothing
 * recurses.
 *
 * @throws OsdeployError `bad-format` when it is no composefs image or damaged; `unsupported` when it is of an unknown kind;
 * `limit-exceeded` when it is too deep.
 */
export function readErofs(image: Uint8Array): FileTree {
  return readErofsImage(image).tree;
}

/** The same with all facts, and as composefs-info sees it where that is asked for. */
export function readErofsImage(image: Uint8Array, options: ReadOptions = {}): ErofsImage {
  const raw = new RawImage(new ByteReader(image, "root image"));
  const builder = new TreeBuilder(raw, options.view ?? "tree");
  const root = builder.build(options.rootEntries);
  const { directorySizes, directoryLinks } = builder;
  return { tree: { root }, superblock: raw.superblock, directorySizes, directoryLinks };
}

/** A directory whose names are still to be read. */
interface QueuedDirectory {
  readonly directory: OpenDirectory;
  readonly raw: RawInode;
  readonly depth: number;
}

class TreeBuilder {
  readonly directorySizes = new Map<Directory, bigint>();
  readonly directoryLinks = new Map<Directory, number>();
  readonly #image: RawImage;
  readonly #view: ErofsView;
  readonly #reader: InodeReader;
  /** Every inode read so far, by nid. */
  readonly #inodes = new Map<number, Inode>();
  /** Leaves that have several names. */
  readonly #shared = new Set<Leaf>();
  readonly #queue: QueuedDirectory[] = [];
  /** Directories in which whiteouts have their own names. */
  readonly #holders = new Set<Directory>();
  /** Names that are in the image and not in the view. */
  readonly #hidden: { readonly directory: OpenDirectory; readonly name: ByteString }[] = [];

  constructor(image: RawImage, view: ErofsView) {
    this.#image = image;
    this.#view = view;
    this.#reader = new InodeReader(image, view);
  }

  build(rootEntries: ReadonlySet<ByteString> | undefined): Directory {
    const { rootNid, composefsVersion } = this.#image.superblock;
    const root = this.#inode(rootNid, 0);
    if (root.kind !== "directory") throw unreadable("its root is no directory");
    // The queue grows while it is walked.
    for (const queued of this.#queue) this.#addEntries(queued, queued.depth === 0 ? rootEntries : undefined);
    if (this.#shared.size > 0) {
      const mayBeHome = (directory: Directory, inode: Inode) =>
        !this.#reader.isEscapedWhiteout(inode) || this.#holders.has(directory);
      if (this.#view === "tree" && composefsVersion < 2) {
        homesByNid(root, { shared: this.#shared, inodes: this.#inodes, mayBeHome });
      } else homesDepthFirst(root, this.#shared);
    }
    // Until now they were needed: they take their places among the numbers.
    for (const { directory, name } of this.#hidden) {
      directory.entries.delete(name);
      directory.links.delete(name);
    }
    return root;
  }

  #addEntries({ directory, raw, depth }: QueuedDirectory, wanted: ReadonlySet<ByteString> | undefined): void {
    for (const { name, nid } of this.#reader.names(raw)) {
      if (wanted !== undefined && !wanted.has(name)) continue;
      const known = this.#inodes.get(nid);
      const inode = known ?? this.#inode(nid, depth + 1);
      checkName(directory.entries, name);
      if (known !== undefined) this.#noteSharing(inode);
      if (this.#reader.isHidden(inode)) this.#hidden.push({ directory, name });
      directory.entries.set(name, inode);
    }
  }

  #noteSharing(inode: Inode): void {
    if (inode.kind === "directory") throw unreadable("a directory has two names");
    this.#shared.add(inode);
  }

  /** Reads an inode that was not read before. */
  #inode(nid: number, depth: number): Inode {
    const read = this.#reader.inode(nid, depth);
    const inode = read.kind === "directory" ? this.#directory(read, depth) : read;
    this.#inodes.set(nid, inode);
    return inode;
  }

  #directory({ raw, stat, xattrs, holdsWhiteouts }: RawDirectory, depth: number): Directory {
    const directory: OpenDirectory = { kind: "directory", stat, xattrs, entries: new Map(), links: new Set() };
    if (holdsWhiteouts) this.#holders.add(directory);
    this.directorySizes.set(directory, raw.sizeBytes);
    this.directoryLinks.set(directory, raw.nlink);
    this.#queue.push({ directory, raw, depth });
    return directory;
  }
}
