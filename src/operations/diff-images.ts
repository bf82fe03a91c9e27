import { diffTrees, type TreeDifference } from "../core/tree/diff-trees.ts";
import type { FileTree } from "../core/tree/inode.ts";
import { walkTree } from "../core/tree/walk-tree.ts";
import type { Path } from "../linux/linux.ts";
import { openRepo } from "../repo/repo.ts";
import { findImage } from "./find-image.ts";
import { readImageTree } from "./image-tree.ts";
import type { System } from "./system.ts";

export interface DiffImagesRequest {
  readonly repo: Path;
  readonly before: string;
  readonly after: string;
  readonly bootable: boolean;
}

/** Objects, each counted once, and the bytes in them. */
export interface ObjectTotals {
  readonly objects: number;
  readonly bytes: number;
}

export interface DiffImagesResult {
  readonly differences: readonly TreeDifference[];
  /** What both need, and the repo holds once. */
  readonly shared: ObjectTotals;
  readonly onlyBefore: ObjectTotals;
  readonly onlyAfter: ObjectTotals;
}

/** Compares the trees of two images, and the objects that they need. */
export async function diffImages(system: System, request: DiffImagesRequest): Promise<DiffImagesResult> {
  const repo = openRepo(system.linux, request.repo, { access: "read", wait: true });
  try {
    const [before, after] = [request.before, request.after].map((words) =>
      readImageTree(repo, findImage(repo, words), request),
    );
    return compare(before as FileTree, after as FileTree);
  } finally {
    repo.close();
  }
}

function compare(before: FileTree, after: FileTree): DiffImagesResult {
  const old = objectSizes(before);
  const now = objectSizes(after);
  return {
    differences: diffTrees(before, after),
    shared: totals([...old].filter(([id]) => now.has(id))),
    onlyBefore: totals([...old].filter(([id]) => !now.has(id))),
    onlyAfter: totals([...now].filter(([id]) => !old.has(id))),
  };
}

function objectSizes(tree: FileTree): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const { inode } of walkTree(tree)) {
    if (inode.kind !== "regular" || inode.content.kind !== "external") continue;
    sizes.set(inode.content.digest ?? "", Number(inode.content.sizeBytes));
  }
  return sizes;
}

function totals(objects: readonly (readonly [string, number])[]): ObjectTotals {
  return { objects: objects.length, bytes: objects.reduce((sum, [, bytes]) => sum + bytes, 0) };
}
