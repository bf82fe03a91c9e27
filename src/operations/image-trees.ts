import { VerityHasher } from "../core/digest/fs-verity.ts";
import { parseObjectId, type VerityAlgorithm } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Directory, FileContent, FileTree, Inode, Leaf } from "../core/tree/inode.ts";
import { mergeLayers } from "../core/tree/merge-layers.ts";
import { ObjectContent } from "../core/tree/object-content.ts";
import { toBootTree, toRawTree } from "../core/tree/root-tree.ts";
import { readPieces, withOpen } from "../linux/file-content.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import type { Repo } from "../repo/repo.ts";
import { objectPath } from "../repo/repo-paths.ts";
import { readLayer } from "../repo/streams.ts";
import type { StoredImage } from "./find-image.ts";
import { readContent } from "./read-content.ts";

/** The trees that root images may have been made of: `merged` is the layers as they are. */
export type TreeName = "boot" | "raw" | "merged";

/**
 * The trees of an image whose layers are in the repo, made anew, and the same trees with the digests of another algorithm.
 */
export class ImageTrees {
  readonly trees: ReadonlyMap<TreeName, FileTree>;
  /** Why there is no tree that boots. */
  readonly bootRefusal: string | undefined;
  readonly #repo: Repo;
  readonly #digests = new Map<string, string>();

  constructor(repo: Repo, { config }: Pick<StoredImage, "config">) {
    this.#repo = repo;
    const merged = mergeLayers(config.diffIds.map((diffId) => readLayer(repo, diffId)));
    const raw = toRawTree(merged);
    const boot = orRefusal(() => toBootTree(raw, (content) => readContent(repo, content)));
    this.bootRefusal = typeof boot === "string" ? boot : undefined;
    this.trees = new Map([
      ...(typeof boot === "string" ? [] : [["boot", boot] as const]),
      ["raw", raw] as const,
      ["merged", merged] as const,
    ]);
  }

  /** A tree with the digests of `algorithm`: every object is read for another one than the repo's. */
  tree(name: TreeName, algorithm: VerityAlgorithm): FileTree | undefined {
    const tree = this.trees.get(name);
    if (tree === undefined || algorithm === this.#repo.algorithm) return tree;
    const hashBlocks = multiBufferHasher(algorithm);
    const leaves = new Map<Leaf, Leaf>();
    const other = (content: FileContent): FileContent => {
      if (content.kind === "inline" || content.digest === undefined) return content;
      const digest = this.#digests.get(content.digest) ?? this.#measure(content.digest, algorithm, hashBlocks);
      this.#digests.set(content.digest, digest);
      return new ObjectContent(digest, content.sizeBytes);
    };
    return { root: withContents(tree.root, { leaves, other }) };
  }

  #measure(digest: string, algorithm: VerityAlgorithm, hashBlocks: ReturnType<typeof multiBufferHasher>): string {
    const { files, path } = this.#repo;
    const hasher = new VerityHasher(algorithm, hashBlocks);
    withOpen(files, objectPath(path, parseObjectId(digest, this.#repo.algorithm)), "read", (fd) =>
      readPieces(files, fd, (piece) => hasher.update(piece)),
    );
    return hasher.digest();
  }
}

/**
 * The tree of a dump, with whole digests. Readers of dumps know digests of 32 bytes and leave the rest of longer ones; the
 * object's path has all of it.
 */
export function withWholeDigests(tree: FileTree): FileTree {
  const whole = (content: FileContent): FileContent => {
    if (content.kind === "inline" || content.digest === undefined) return content;
    const digest = content.backingPath?.replace("/", "") ?? "";
    const isWhole = /^[0-9a-f]{128}$/.test(digest) && digest.startsWith(content.digest);
    return isWhole ? new ObjectContent(digest, content.sizeBytes) : content;
  };
  return { root: withContents(tree.root, { leaves: new Map(), other: whole }) };
}

function orRefusal<T>(make: () => T): T | string {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "not-bootable")) throw error;
    const { hint } = error.facts;
    return hint === undefined ? error.message : `${error.message}. ${hint}`;
  }
}

interface Replacing {
  /** Leaves that were replaced: those with several names stay one. */
  readonly leaves: Map<Leaf, Leaf>;
  readonly other: (content: FileContent) => FileContent;
}

function withContents(directory: Directory, replacing: Replacing): Directory {
  const entries = [...directory.entries].map(([name, inode]) => [name, withContent(inode, replacing)] as const);
  return { ...directory, entries: new Map(entries) };
}

function withContent(inode: Inode, replacing: Replacing): Inode {
  if (inode.kind === "directory") return withContents(inode, replacing);
  if (inode.kind !== "regular") return inode;
  const { leaves, other } = replacing;
  const replaced = leaves.get(inode) ?? { ...inode, content: other(inode.content) };
  leaves.set(inode, replaced);
  return replaced;
}
