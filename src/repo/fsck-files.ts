import { isHex } from "../core/bytes/hex.ts";
import { digestLength, type ObjectId } from "../core/digest/object-id.ts";
import type { FileTree } from "../core/tree/inode.ts";
import { walkTree } from "../core/tree/walk-tree.ts";
import { showPath } from "../linux/errno.ts";
import type { Keeper } from "./fsck-report.ts";
import { readRootImage } from "./object-graph.ts";
import { unlessDamaged } from "./read-object.ts";
import type { Repo } from "./repo.ts";

/** A content that thousands of files share is told by some of them. */
const filesLimit = 20;

/**
 * Which files of the root images have one of `objects` as their content, by the paths that a machine shows. Root images
 * that are damaged themselves tell nothing.
 */
export function filesOfObjects(
  repo: Repo,
  keepers: readonly Keeper[],
  objects: ReadonlySet<ObjectId>,
): ReadonlyMap<ObjectId, readonly string[]> {
  const files = new Map<ObjectId, Set<string>>();
  for (const { name, needs } of keepers) {
    const id = name.startsWith("images/") ? name.slice("images/".length) : "";
    if (!isHex(id, digestLength(repo.algorithm)) || ![...objects].some((object) => needs.has(object))) continue;
    const tree = unlessDamaged(() => readRootImage(repo, id as ObjectId));
    if (tree !== undefined) addFiles(tree, objects, files);
  }
  return new Map([...files].map(([object, paths]) => [object, [...paths].sort()]));
}

function addFiles(tree: FileTree, objects: ReadonlySet<ObjectId>, files: Map<ObjectId, Set<string>>): void {
  for (const { path, inode } of walkTree(tree)) {
    if (inode.kind !== "regular" || inode.content.kind !== "external") continue;
    const object = inode.content.digest as ObjectId | undefined;
    if (object === undefined || !objects.has(object)) continue;
    const paths = files.get(object) ?? new Set();
    if (paths.size < filesLimit) paths.add(showPath(path));
    files.set(object, paths);
  }
}
