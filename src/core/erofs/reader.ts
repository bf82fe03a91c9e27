import { ByteReader } from "../bytes/byte-reader.ts";
import { type ByteString, toText } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import type { Directory, FileContent, FileTree, Inode, Leaf, Stat } from "../tree/inode.ts";
import { externalContent } from "../tree/object-content.ts";
import { dataLayout, fileType, maxInlineLength, maxNameLength, maxTargetLength, typeMask } from "./format.ts";
import { homesByNid, homesDepthFirst, type OpenDirectory } from "./leaf-homes.ts";
import { RawImage, type RawInode } from "./raw-image.ts";
import { type DecodedXattrs, decodeXattrs, type ErofsView } from "./raw-xattrs.ts";
import { type Superblock, unreadable, unsupported } from "./superblock.ts";

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

/** Deepest directory. A path of so many names is far longer than the kernel takes; a hostile image would go on. */
const maxDepth = 4096;

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
  /** Every inode read so far, by nid. */
  readonly #inodes = new Map<number, Inode>();
  /** Leaves that have several names. */
  readonly #shared = new Set<Leaf>();
  readonly #queue: QueuedDirectory[] = [];
  readonly #escapedWhiteouts = new Set<Inode>();
  /** Names that are in the image and not in the view. */
  readonly #hidden: { readonly directory: OpenDirectory; readonly name: ByteString }[] = [];

  constructor(image: RawImage, view: ErofsView) {
    this.#image = image;
    this.#view = view;
  }

  build(rootEntries: ReadonlySet<ByteString> | undefined): Directory {
    const { rootNid, composefsVersion } = this.#image.superblock;
    const root = this.#inode(rootNid, 0);
    if (root.kind !== "directory") throw unreadable("its root is no directory");
    // The queue grows while it is walked.
    for (const queued of this.#queue) this.#addEntries(queued, queued.depth === 0 ? rootEntries : undefined);
    if (this.#shared.size > 0) {
      if (this.#view === "tree" && composefsVersion < 2) homesByNid(root, this.#shared, this.#inodes);
      else homesDepthFirst(root, this.#shared);
    }
    // Until now they were needed: they take their places among the numbers.
    for (const { directory, name } of this.#hidden) {
      directory.entries.delete(name);
      directory.links.delete(name);
    }
    return root;
  }

  #addEntries({ directory, raw, depth }: QueuedDirectory, wanted: ReadonlySet<ByteString> | undefined): void {
    for (const { name, nid } of this.#image.names(raw)) {
      if (wanted !== undefined && !wanted.has(name)) continue;
      const known = this.#inodes.get(nid);
      const inode = known ?? this.#inode(nid, depth + 1);
      checkName(directory, name);
      if (known !== undefined) this.#noteSharing(inode);
      if (this.#isHidden(inode)) this.#hidden.push({ directory, name });
      directory.entries.set(name, inode);
    }
  }

  #noteSharing(inode: Inode): void {
    if (inode.kind === "directory") throw unreadable("a directory has two names");
    this.#shared.add(inode);
  }

  /** Reads an inode that was not read before. */
  #inode(nid: number, depth: number): Inode {
    const inode = this.#makeInode(this.#image.inode(nid), depth);
    this.#inodes.set(nid, inode);
    return inode;
  }

  /**
   * Formats 0 and 1 write a whiteout of the tree as an empty file, so a real one is never the tree's: those in the root
   * keep the object directories from showing through. composefs-info leaves out all of them in any format.
   */
  #isHidden(inode: Inode): boolean {
    if (inode.kind !== "character-device" || inode.rdev !== 0 || this.#escapedWhiteouts.has(inode)) return false;
    return this.#view === "composefs-info" || this.#image.superblock.composefsVersion < 2;
  }

  #makeInode(raw: RawInode, depth: number): Inode {
    const type = raw.mode & typeMask;
    const decoded = decodeXattrs([...this.#image.xattrs(raw)], {
      isRegular: type === fileType.regular,
      version: this.#image.superblock.composefsVersion,
      view: this.#view,
    });
    if (type !== fileType.directory) return this.#leaf(raw, decoded);
    if (depth > maxDepth) {
      throw new OsdeployError(
        "limit-exceeded",
        `Cannot read the root image: it is more than ${maxDepth} directories deep`,
      );
    }
    const directory: OpenDirectory = {
      kind: "directory",
      stat: statOf(raw),
      xattrs: decoded.xattrs,
      entries: new Map(),
      links: new Set(),
    };
    this.directorySizes.set(directory, raw.sizeBytes);
    this.directoryLinks.set(directory, raw.nlink);
    this.#queue.push({ directory, raw, depth });
    return directory;
  }

  #leaf(raw: RawInode, decoded: DecodedXattrs): Leaf {
    const common = { stat: statOf(raw), xattrs: decoded.xattrs, nlink: raw.nlink };
    switch (raw.mode & typeMask) {
      case fileType.regular:
        if (decoded.isWhiteout) return this.#escapedWhiteout(common);
        return { ...common, kind: "regular", content: this.#content(raw, decoded) };
      case fileType.symlink:
        return { ...common, kind: "symlink", target: this.#target(raw) };
      case fileType["character-device"]:
        return { ...common, kind: "character-device", rdev: raw.location, claimedSizeBytes: 0n };
      case fileType["block-device"]:
        return { ...common, kind: "block-device", rdev: raw.location, claimedSizeBytes: 0n };
      case fileType.fifo:
        return { ...common, kind: "fifo", rdev: 0, claimedSizeBytes: 0n };
      case fileType.socket:
        return { ...common, kind: "socket", rdev: 0, claimedSizeBytes: 0n };
      default:
        throw unreadable(`an inode has mode ${raw.mode.toString(8)}`);
    }
  }

  #escapedWhiteout(common: Pick<Leaf, "stat" | "xattrs" | "nlink">): Leaf {
    const whiteout: Leaf = { ...common, kind: "character-device", rdev: 0, claimedSizeBytes: 0n };
    this.#escapedWhiteouts.add(whiteout);
    return whiteout;
  }

  #content(raw: RawInode, decoded: DecodedXattrs): FileContent {
    const { sizeBytes } = raw;
    if (raw.layout === dataLayout.chunkBased && sizeBytes > 0n) {
      return externalContent(sizeBytes, decoded);
    }
    if (sizeBytes > maxInlineLength) throw unsupported(`a file of ${sizeBytes} bytes is inline`);
    return { kind: "inline", bytes: sizeBytes === 0n ? noBytes : this.#image.bytes(raw) };
  }

  #target(raw: RawInode): ByteString {
    if (raw.sizeBytes === 0n || raw.sizeBytes > maxTargetLength) {
      throw unreadable(`a symlink's target has ${raw.sizeBytes} bytes`);
    }
    const target = this.#image.bytes(raw);
    if (target.includes("\0")) throw unreadable("a symlink's target holds a NUL");
    return target;
  }
}

const noBytes = "" as ByteString;

function statOf(raw: RawInode): Stat {
  const { uid, gid, mtimeSeconds, mtimeNanoseconds } = raw;
  return { permissions: raw.mode & 0o7777, uid, gid, mtimeSeconds, mtimeNanoseconds };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL ends a name and so cannot be in it
const notInNames = /[\x00/]/;

function checkName(directory: Directory, name: ByteString): void {
  if (name.length === 0 || name.length > maxNameLength || notInNames.test(name)) {
    throw unreadable(`"${toText(name).slice(0, 300)}" cannot be a file's name`);
  }
  if (directory.entries.has(name)) throw unreadable(`a directory has two entries "${toText(name)}"`);
}
