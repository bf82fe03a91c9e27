import { ByteReader } from "../bytes/byte-reader.ts";
import type { ByteString } from "../bytes/byte-string.ts";
import { assert } from "../errors.ts";
import type { Directory, FileTree, Inode } from "../tree/inode.ts";
import { findDirectory } from "../tree/tree-path.ts";
import { checkName, InodeReader, type RawDirectory } from "./inode-reader.ts";
import { RawImage } from "./raw-image.ts";
import { readErofs } from "./reader.ts";
import { unreadable } from "./superblock.ts";

/**
 * The tree that {@link readErofs} gives, of which a directory is read when it is asked for its entries: for who looks at few.
 * `image` is kept as long as any part of the tree is, and must not change.
 *
 * What is wrong with the image is thrown by whoever meets it, and goes unseen elsewhere. Who asks for the `links` of a directory
 * that may have some has all of the image read: which of several names is an inode's own is known only then.
 *
 * @throws OsdeployError what {@link readErofs} throws; so do the entries and links of the tree.
 */
export function readErofsOnDemand(image: Uint8Array): FileTree {
  return new DemandedTree(image).tree;
}

/** Where a directory is. */
interface Place {
  readonly path: string;
  readonly depth: number;
}

class DemandedTree {
  readonly tree: FileTree;
  readonly #image: Uint8Array;
  readonly #reader: InodeReader;
  /** Every inode read so far, by nid. */
  readonly #inodes = new Map<number, Inode>();
  /** The same tree as a whole, once it was needed. */
  #whole: FileTree | undefined;

  constructor(image: Uint8Array) {
    this.#image = image;
    const raw = new RawImage(new ByteReader(image, "root image"));
    this.#reader = new InodeReader(raw, "tree");
    const root = this.#inode(raw.superblock.rootNid, { path: "", depth: 0 });
    if (root.kind !== "directory") throw unreadable("its root is no directory");
    this.tree = { root };
  }

  /** Reads an inode that was not read before. */
  #inode(nid: number, place: Place): Inode {
    const read = this.#reader.inode(nid, place.depth);
    const inode = read.kind === "directory" ? this.#directory(read, place) : read;
    this.#inodes.set(nid, inode);
    return inode;
  }

  /** Its own properties are read when they are asked for, so that `{ ...directory }` has them as well. */
  #directory(directory: RawDirectory, place: Place): Directory {
    const { stat, xattrs } = directory;
    const entries = once(() => this.#entries(directory, place));
    const links = once(() => this.#links(entries(), place));
    return {
      kind: "directory",
      stat,
      xattrs,
      get entries() {
        return entries();
      },
      get links() {
        return links();
      },
    };
  }

  #entries({ raw }: RawDirectory, { path, depth }: Place): Directory["entries"] {
    const entries = new Map<ByteString, Inode>();
    for (const { name, nid } of this.#reader.names(raw)) {
      const known = this.#inodes.get(nid);
      const inode = known ?? this.#inode(nid, { path: `${path}/${name}`, depth: depth + 1 });
      checkName(entries, name);
      if (known?.kind === "directory") throw unreadable("a directory has two names");
      entries.set(name, inode);
    }
    for (const [name, inode] of entries) if (this.#reader.isHidden(inode)) entries.delete(name);
    return entries;
  }

  #links(entries: Directory["entries"], { path }: Place): Directory["links"] {
    const mayBeShared = (inode: Inode) => inode.kind !== "directory" && inode.nlink !== 1;
    if (![...entries.values()].some(mayBeShared)) return noLinks;
    this.#whole ??= readErofs(this.#image);
    const directory = findDirectory(this.#whole, path as ByteString);
    assert(directory !== undefined, "the whole tree has the directories of its parts");
    return directory.links;
  }
}

const noLinks: Directory["links"] = new Set();

/** Calls `make` when the value is first asked for, and no more once it gave one. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
