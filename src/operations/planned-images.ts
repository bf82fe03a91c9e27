import { verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { rewriteErofs } from "../core/erofs/rewrite.ts";
import { writeErofs } from "../core/erofs/writer.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import type { FileContent, FileTree } from "../core/tree/inode.ts";
import { toBootTree } from "../core/tree/root-tree.ts";
import { walkTree } from "../core/tree/walk-tree.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import type { Repo } from "../repo/repo.ts";
import { awaitedDigest } from "./held-contents.ts";
import { readContent } from "./read-content.ts";

/** An object that an image needs in the repo, as far as it is known before. */
export interface PlannedObject {
  readonly sizeBytes: number;
  /** Undefined where it names something whose digest nobody knows yet. */
  readonly id: ObjectId | undefined;
}

/** The root images that a pull would make. */
export interface PlannedRootImages {
  readonly raw: PlannedObject;
  /** The same value as `raw` where both are one: where nothing is labelled and nothing emptied. */
  readonly boot: PlannedObject | undefined;
}

/**
 * Makes the root images of a tree for their sizes, and for their digests where all contents are here. Where labels come from a
 * policy that is not, the one that boots counts as large as the other.
 */
export function planRootImages(
  repo: Repo,
  tree: FileTree,
  { bootable }: { readonly bootable: boolean },
): PlannedRootImages {
  const isComplete = holdsAll(tree);
  const hashBlocks = multiBufferHasher(repo.algorithm);
  const describe = (bytes: Uint8Array): PlannedObject => ({
    sizeBytes: bytes.length,
    id: isComplete ? verityDigest(repo.algorithm, bytes, hashBlocks) : undefined,
  });
  const rawImage = writeErofs(tree, { version: 1 });
  const raw = describe(rawImage);
  if (!bootable) return { raw, boot: undefined };
  const bootTree = bootTreeOf(repo, tree);
  if (bootTree === undefined) return { raw, boot: { sizeBytes: raw.sizeBytes, id: undefined } };
  const bootImage = rewriteErofs(rawImage.slice(), { before: tree, after: bootTree }, { version: 1 });
  return { raw, boot: Buffer.compare(rawImage, bootImage) === 0 ? raw : describe(bootImage) };
}

/** Whether no content is still to come. */
function holdsAll(tree: FileTree): boolean {
  for (const { inode } of walkTree(tree)) {
    if (inode.kind === "regular" && awaitedDigest(inode.content) !== undefined) return false;
  }
  return true;
}

/** Undefined where the image cannot boot, or its labels come from a policy that is not here. */
function bootTreeOf(repo: Repo, raw: FileTree): FileTree | undefined {
  const read = (content: FileContent) => {
    if (awaitedDigest(content) !== undefined)
      throw new OsdeployError("not-found", "Cannot read a policy: it is not here");
    return readContent(repo, content);
  };
  return unlessFailing(() => toBootTree(raw, read));
}
