import { type ByteString, fromText, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { FileTree, Inode } from "../core/tree/inode.ts";
import { findInode, sortedEntries } from "../core/tree/tree-path.ts";
import { walkTree } from "../core/tree/walk-tree.ts";
import { openRootImage, readRootImage } from "../repo/object-graph.ts";
import { type ImageRequest, readImageTree, withImage } from "./image-tree.ts";
import type { System } from "./system.ts";

export interface ListImageFilesRequest extends ImageRequest {
  /** Where to begin; `/` for all. */
  readonly path: ByteString;
  /** Whether to go into the directories below. */
  readonly recursive: boolean;
}

/** One name in an image. */
export interface ImageFile {
  /** With a leading slash. */
  readonly path: ByteString;
  readonly inode: Inode;
}

/**
 * The names in a directory of an image, or of all below it, in byte order; of anything else that name alone.
 *
 * @throws OsdeployError `not-found` when the image has no such path.
 */
export async function listImageFiles(system: System, request: ListImageFilesRequest): Promise<readonly ImageFile[]> {
  const read = request.recursive ? readRootImage : openRootImage;
  return await withImage(system, request, (repo, image) =>
    listFiles(readImageTree(repo, image, request, read), request),
  );
}

function listFiles(tree: FileTree, { image, path, recursive }: ListImageFilesRequest): readonly ImageFile[] {
  const inode = findInode(tree, path);
  if (inode === undefined) throw noSuchPath(image, path);
  const top = `/${path
    .split("/")
    .filter((name) => name !== "" && name !== ".")
    .join("/")}` as ByteString;
  if (inode.kind !== "directory") return [{ path: top, inode }];
  const prefix = top === "/" ? fromText("") : top;
  const at = (path: ByteString, found: Inode): ImageFile => ({ path: `${prefix}${path}` as ByteString, inode: found });
  if (recursive) return [...walkTree({ root: inode })].slice(1).map((entry) => at(entry.path, entry.inode));
  return [...sortedEntries(inode)].map(([name, found]) => at(`/${name}` as ByteString, found));
}

/** The error for a path that an image does not have. */
export function noSuchPath(image: string, path: ByteString): OsdeployError {
  return new OsdeployError(
    "not-found",
    `Cannot find ${JSON.stringify(toText(path))} in image "${image}": there is no such file`,
  );
}
