import { toBytes } from "../core/bytes/byte-string.ts";
import { type FileChanges, planFileChanges } from "../core/deployment/plan-file-changes.ts";
import { BlobHasher } from "../core/digest/blob-hasher.ts";
import { parseObjectId } from "../core/digest/object-id.ts";
import { sha256Hex } from "../core/digest/sha256-hex.ts";
import { OsdeployError, unless } from "../core/errors.ts";
import { diffTrees } from "../core/tree/diff-trees.ts";
import type { FileContent, FileTree } from "../core/tree/inode.ts";
import type { LayerEntry } from "../core/tree/layer.ts";
import { mergeLayers } from "../core/tree/merge-layers.ts";
import { toRawTree } from "../core/tree/root-tree.ts";
import { readPieces, withOpen } from "../linux/file-content.ts";
import type { Repo } from "../repo/repo.ts";
import { objectPath } from "../repo/repo-paths.ts";
import { awaitedDigest } from "./held-contents.ts";
import type { PlannedLayer } from "./planned-layers.ts";

/** What cannot be told before the image is here, and why. */
export interface Untold {
  readonly kind: "unknown";
  readonly reason: string;
}

/** A tree that is known before the image is here. */
export type PlannedTree = { readonly kind: "known"; readonly tree: FileTree } | Untold;

/** The tree that the layers of an image make, as a pull makes it; contents that are not here are named by their sha256. */
export function planTree(layers: readonly PlannedLayer[]): PlannedTree {
  const entries = layers.flatMap((layer): readonly (readonly LayerEntry[])[] =>
    layer.entries === undefined ? [] : [layer.entries],
  );
  const untold = layers.length - entries.length;
  if (untold > 0) {
    const which = untold === 1 ? "a layer is" : `${untold} layers are`;
    return { kind: "unknown", reason: `${which} not here and without a table of contents` };
  }
  return orUntold(() => ({ kind: "known", tree: asLookedAt(mergeLayers(entries)) }));
}

/** The tree without what is made anew for every root image; what is no operating system stays as it is. */
export function asLookedAt(tree: FileTree): FileTree {
  return unless("not-bootable", () => toRawTree(tree)) ?? tree;
}

/** What changes where the second tree takes the place of the first, whose contents are all in the repo. */
export function compareTrees(repo: Repo, before: FileTree, after: FileTree): FileChanges {
  return planFileChanges(diffTrees(before, after), (old, now) => isSame(repo, old.content, now.content));
}

/** Whether an old content is the one that the other is named by. Reads it, if the sizes are equal. */
function isSame(repo: Repo, before: FileContent, after: FileContent): boolean {
  const digest = awaitedDigest(after);
  if (digest === undefined || sizeOf(before) !== sizeOf(after)) return false;
  if (before.kind === "inline") return sha256Hex(toBytes(before.bytes)) === digest;
  const hasher = new BlobHasher("sha256");
  try {
    const { files, path, algorithm } = repo;
    const object = objectPath(path, parseObjectId(`${before.digest}`, algorithm));
    withOpen(files, object, "read", (fd) => readPieces(files, fd, (piece) => hasher.update(piece)));
  } catch (error) {
    if (error instanceof OsdeployError) return false;
    throw error;
  }
  return hasher.measured() === `sha256:${digest}`;
}

/** Bytes in a file. */
export function sizeOf(content: FileContent): number {
  return content.kind === "inline" ? content.bytes.length : Number(content.sizeBytes);
}

/** Errors of what was read or fetched; others end the plan. */
const tellingCodes: ReadonlySet<string> = new Set([
  ...["bad-format", "limit-exceeded", "digest-mismatch", "damaged", "not-found", "unsupported", "not-bootable"],
]);

/** What `tell` says; where something that it needs cannot be used, the reason. */
export function orUntold<T>(tell: () => T): T | Untold {
  try {
    return tell();
  } catch (error) {
    return untoldBy(error);
  }
}

/** The reason why something cannot be told. @throws what says nothing about the image, but about the machine or the link. */
export function untoldBy(error: unknown): Untold {
  if (error instanceof OsdeployError && tellingCodes.has(error.code)) return { kind: "unknown", reason: error.message };
  throw error;
}
