import type { FileChanges } from "../core/deployment/plan-file-changes.ts";
import { planTransfer, type TransferPlan } from "../core/deployment/plan-transfer.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import type { Platform } from "../core/oci/platform.ts";
import { formatImageReference, type ImageReference } from "../core/oci/reference.ts";
import type { ChunkedTables } from "../core/oci/zstd-chunked-tables.ts";
import type { ChunkedToc } from "../core/oci/zstd-chunked-toc.ts";
import type { FileTree } from "../core/tree/inode.ts";
import type { ImageSource, ResolvedImage, ResolvedLayer } from "../image-source/image-source.ts";
import { openImageSource, type SourceOptions } from "../image-source/open-image-source.ts";
import type { Path } from "../linux/linux.ts";
import { readToc, tablesRange } from "../repo/chunked-tables.ts";
import { openRepo, type Repo } from "../repo/repo.ts";
import { readBlobPart } from "./blob-part.ts";
import { tagOfReference } from "./find-image.ts";
import { readImageTree } from "./image-tree.ts";
import { findSimilarImage } from "./known-image.ts";
import { resolveTrusted } from "./offered-image.ts";
import { isAttemptOver } from "./partial-pulls.ts";
import { type PlannedLayers, planLayers } from "./planned-layers.ts";
import { type PackagePlan, planPackages } from "./planned-packages.ts";
import { asLookedAt, compareTrees, orUntold, type PlannedTree, planTree, type Untold } from "./planned-tree.ts";
import { type OtherWrites, planOtherWrites } from "./planned-writes.ts";
import type { System } from "./system.ts";

export interface PlanImageRequest {
  readonly repo: Path;
  readonly image: ImageReference;
  readonly platform: Platform;
  readonly source: SourceOptions;
}

/** What is compared with: the image or deployment whose place the new one takes. */
export interface PlanBase {
  readonly tree: PlannedTree;
  /** What it is known by; null where nothing says so. */
  readonly image: string | null;
  readonly manifestDigest: ManifestDigest | null;
  readonly rootImage: ObjectId | null;
}

/** What bringing an image into a repo costs, and what it changes there. */
export interface ImagePlan extends TransferPlan {
  /** Objects that hold no file's content: splitstreams of layers, documents, root images. */
  readonly otherObjects: number;
  /** Bytes in them, exact but for how a few new files of some bytes are packed; null where a layer has no table of contents. */
  readonly otherBytes: number | null;
  /** All inodes that the repo gets: objects, links and the tag; null where a layer has no table of contents. */
  readonly newInodes: number | null;
  /** What is free in the repo's file system. */
  readonly availableBytes: number;
  readonly availableInodes: number;
  /** What files and packages are compared with; null where there is nothing. */
  readonly base: Omit<PlanBase, "tree"> | null;
  readonly files: (FileChanges & { readonly kind: "known" }) | Untold;
  readonly packages: PackagePlan;
}

/** What pulling an image into a repo would cost. */
export interface PlanImageResult extends ImagePlan {
  /** The canonical reference. */
  readonly image: string;
  readonly manifestDigest: ManifestDigest;
  /** What its label `org.opencontainers.image.version` says; null where it has none. */
  readonly version: string | null;
}

/**
 * Finds out what a pull would fetch and write, and what of the image in the repo that is most like it would be another, from
 * the image's documents and the tables of its layers, and from what the repo holds. Nothing is written.
 */
export async function planImage(system: System, request: PlanImageRequest): Promise<PlanImageResult> {
  const { linux, signal } = system;
  system.progress({ kind: "start", task: "check", subject: formatImageReference(request.image) });
  const repo = openRepo(linux, request.repo, { access: "read", wait: true });
  const source = openImageSource(request.image, linux, { ...request.source, signal });
  try {
    const { image } = await resolveTrusted(system, source, request);
    const planned = await planLayers(system, repo, { source, image });
    const tree = planTree(planned.layers);
    const base = similarBase(repo, image);
    const tag = tagOfReference(source.reference());
    const writes = planOtherWrites(repo, { image, planned, tree, bootable: false, tag });
    const found = await describePlan(repo, { source, planned, tree, base, writes });
    system.progress({ kind: "done" });
    return { ...describeImage(source, image), ...found };
  } finally {
    await source.close();
    repo.close();
  }
}

/** What the documents of an image say of it. */
export function describeImage(
  source: ImageSource,
  { manifest, imageConfig }: ResolvedImage,
): Pick<PlanImageResult, "image" | "manifestDigest" | "version"> {
  return {
    image: formatImageReference(source.reference()),
    manifestDigest: manifest.digest,
    version: imageConfig.labels.get("org.opencontainers.image.version") ?? null,
  };
}

/** All that a plan is made of. */
export interface PlanParts {
  readonly source: ImageSource;
  readonly planned: PlannedLayers;
  /** What the layers make. */
  readonly tree: PlannedTree;
  readonly base: PlanBase | undefined;
  /** What is written besides the contents of files. */
  readonly writes: OtherWrites;
}

/** Puts the plan together. Fetches the package databases of the new image, where they are not here. */
export async function describePlan(repo: Repo, parts: PlanParts): Promise<ImagePlan> {
  const { base, planned, source, writes } = parts;
  const transfer = planTransfer(planned.layers.map(({ offer }) => offer));
  const { availableBytes, availableInodes } = repo.files.space(repo.path);
  const trees = pairOf(parts);
  const newInodes = transfer.uncountedLayers > 0 ? null : transfer.newObjects + writes.objects + writes.names;
  return {
    ...transfer,
    otherObjects: writes.objects,
    otherBytes: writes.bytes,
    newInodes,
    availableBytes,
    availableInodes,
    base:
      base === undefined ? null : { image: base.image, manifestDigest: base.manifestDigest, rootImage: base.rootImage },
    files:
      trees.kind === "unknown"
        ? trees
        : orUntold(() => ({ kind: "known", ...compareTrees(repo, trees.before, trees.after) })),
    packages:
      trees.kind === "unknown"
        ? trees
        : await planPackages({ repo, source, missing: planned.missing }, trees.before, trees.after),
  };
}

function pairOf({
  base,
  tree,
}: PlanParts): { readonly kind: "known"; readonly before: FileTree; readonly after: FileTree } | Untold {
  if (tree.kind === "unknown") return tree;
  if (base === undefined) return { kind: "unknown", reason: "there is no image here to compare with" };
  return base.tree.kind === "unknown" ? base.tree : { kind: "known", before: base.tree.tree, after: tree.tree };
}

/** The image in the repo that is most like the new one: that itself, where it is there. */
function similarBase(repo: Repo, { layers }: ResolvedImage): PlanBase | undefined {
  const stored = findSimilarImage(repo, layers);
  if (stored === undefined) return undefined;
  const tree = orUntold((): PlannedTree => {
    return { kind: "known", tree: asLookedAt(readImageTree(repo, stored, { bootable: false })) };
  });
  return { tree, image: null, manifestDigest: stored.manifestDigest, rootImage: stored.rawImage ?? null };
}

/** The table of contents of a layer. Undefined where a pull would take the layer whole: it cannot be had, or used. */
export async function fetchToc(
  source: ImageSource,
  layer: ResolvedLayer,
  tables: ChunkedTables,
): Promise<ChunkedToc | undefined> {
  try {
    return readToc(tables, await readBlobPart(source, layer, tablesRange(tables)));
  } catch (error) {
    if (isAttemptOver(error)) return undefined;
    throw error;
  }
}
