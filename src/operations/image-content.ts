import { fromText, toText } from "../core/bytes/byte-string.ts";
import { type ObjectId, parseObjectId } from "../core/digest/object-id.ts";
import { FileLookup } from "../core/erofs/file-lookup.ts";
import { readErofs } from "../core/erofs/reader.ts";
import type { FileTree, RegularFile } from "../core/tree/inode.ts";
import { findDirectory, followPath } from "../core/tree/tree-path.ts";
import { readRootImageBytes } from "../repo/object-graph.ts";
import { readObject } from "../repo/read-object.ts";
import type { Repo } from "../repo/repo.ts";
import { contentLimitBytes, readContent } from "./read-content.ts";

/** The first of these paths that is a file in the image; links are followed. */
export function findImageFile(
  tree: FileTree,
  paths: readonly string[],
): { readonly path: string; readonly file: RegularFile } | undefined {
  for (const path of paths) {
    const inode = followPath(tree, fromText(path));
    if (inode?.kind === "regular") return { path, file: inode };
  }
  return undefined;
}

/** Files of a root image by path, for who needs few of them: it becomes a tree only where links have to be followed. */
export class ImageFiles {
  readonly #repo: Repo;
  readonly #image: Uint8Array;
  readonly #lookup: FileLookup;

  /** @throws OsdeployError `not-found`; `damaged` when the image's bytes are not its own; `bad-format`. */
  constructor(repo: Repo, id: ObjectId) {
    this.#repo = repo;
    this.#image = readRootImageBytes(repo, id);
    this.#lookup = new FileLookup(this.#image);
  }

  /**
   * The bytes of the first of these paths that is a file with an object; links are followed. Undefined when none is.
   *
   * @throws OsdeployError `not-found`, `damaged`, `bad-format`; `limit-exceeded` for more than 64 MiB.
   */
  read(paths: readonly string[]): Uint8Array | undefined {
    if (paths.some((path) => this.#lookup.meetsLink(fromText(path)))) {
      const found = findImageFile(readErofs(this.#image), paths);
      return found && readContent(this.#repo, found.file.content);
    }
    const found = paths.map((path) => this.#lookup.find(fromText(path))).find((file) => file !== undefined);
    if (found === undefined) return undefined;
    const id = parseObjectId(found.backingPath.replace("/", ""), this.#repo.algorithm);
    return readObject(this.#repo, id, contentLimitBytes);
  }
}

/** The text of a file of the image; empty where there is none. */
export function readImageText(repo: Repo, tree: FileTree, paths: readonly string[]): string {
  const found = findImageFile(tree, paths);
  return found === undefined ? "" : new TextDecoder().decode(readContent(repo, found.file.content));
}

/** The regular files directly in a directory of the image, with their texts. */
export function readImageTexts(
  repo: Repo,
  tree: FileTree,
  directory: string,
): readonly { readonly name: string; readonly text: string }[] {
  const entries = findDirectory(tree, fromText(directory))?.entries ?? new Map();
  return [...entries].flatMap(([name, inode]) =>
    inode.kind === "regular"
      ? [{ name: toText(name), text: new TextDecoder().decode(readContent(repo, inode.content)) }]
      : [],
  );
}
