import { toText } from "../core/bytes/byte-string.ts";
import type { LayerDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Fd, Path } from "../linux/linux.ts";
import { openLocked } from "../linux/locked-directory.ts";
import { pathBelow } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";
import { type KeptRanges, openKeptRanges } from "./kept-ranges.ts";
import { ensureDirectory, hasObjects } from "./object-listing.ts";
import type { StagingOptions } from "./object-staging.ts";
import { openPartialLayer, type PartialLayer, partialLayerPath } from "./partial-layer.ts";
import type { WritableRepo } from "./repo.ts";
import { stagingPath } from "./repo-paths.ts";

/**
 * The staging area of one run: a directory under `staging/` that is locked as long as the run lives, so that nobody takes
 * it for a dead one's. Held by the main thread; each worker gets a directory of its own in it. Close it in any case: what
 * was not published is removed.
 */
export class StagingRun {
  readonly #repo: WritableRepo;
  readonly #path: Path;
  readonly #fd: Fd;
  readonly #isFresh: boolean;
  readonly #partialLayers = new Map<LayerDigest, PartialLayer>();
  readonly #keptRanges = new Map<LayerDigest, KeptRanges>();
  #count = 0;

  constructor(repo: WritableRepo) {
    this.#repo = repo;
    this.#isFresh = !hasObjects(repo.files, repo.path);
    ensureDirectory(repo.files, stagingPath(repo.path), 0o700);
    const { path, fd } = makeLockedDirectory(repo);
    this.#path = path;
    this.#fd = fd;
  }

  /** What a new worker needs to stage objects; plain data. */
  newStagingOptions(): StagingOptions {
    const directory = pathBelow(this.#path, String(this.#count++));
    this.#repo.files.makeDirectory(directory, 0o700);
    return {
      repoPath: this.#repo.path,
      algorithm: this.#repo.algorithm,
      secure: this.#repo.secure,
      directory,
      isFresh: this.#isFresh,
    };
  }

  /**
   * The file of a layer that is being fetched, with what an earlier run has fetched of it; undefined when another run has
   * it. Unlike everything else that is staged it outlives the run, unless it is dropped.
   */
  openPartialLayer(digest: LayerDigest): PartialLayer | undefined {
    const open = this.#partialLayers.get(digest);
    if (open !== undefined) return open;
    const layer = openPartialLayer(this.#repo.files, this.#repo.path, digest);
    if (layer !== undefined) this.#partialLayers.set(digest, layer);
    return layer;
  }

  /** Removes the file of a layer, where this run has one: the layer is published, or the file is worth nothing. */
  dropPartialLayer(digest: LayerDigest): void {
    const layer = this.#partialLayers.get(digest);
    if (layer === undefined) return;
    this.#partialLayers.delete(digest);
    try {
      layer.remove();
    } finally {
      layer.close();
    }
  }

  /**
   * The directory of the ranges of a layer that comes in parts, with what earlier runs have fetched of it, be it in parts or
   * whole; undefined when another run has it. It outlives the run as {@link openPartialLayer} does.
   */
  openKeptRanges(digest: LayerDigest): KeptRanges | undefined {
    const open = this.#keptRanges.get(digest);
    if (open !== undefined) return open;
    const { files, path } = this.#repo;
    const kept = openKeptRanges(files, path, digest);
    if (kept === undefined) return undefined;
    this.#keptRanges.set(digest, kept);
    // So that it is dropped with the rest, also when the layer never comes whole.
    if (files.lstatIfExists(partialLayerPath(path, digest)) !== undefined) this.openPartialLayer(digest);
    return kept;
  }

  /** Removes what this run has of a layer that it fetched whole or in parts. */
  dropFetched(digest: LayerDigest): void {
    this.dropPartialLayer(digest);
    this.#dropRanges(digest);
  }

  #dropRanges(digest: LayerDigest): void {
    const kept = this.#keptRanges.get(digest);
    if (kept === undefined) return;
    this.#keptRanges.delete(digest);
    try {
      kept.remove();
    } finally {
      kept.close();
    }
  }

  /** Removes what this run has of all layers that it fetched whole or in parts. */
  dropPartialLayers(): void {
    for (const digest of [...this.#partialLayers.keys(), ...this.#keptRanges.keys()]) this.dropFetched(digest);
  }

  /** Removes what was not published but the bytes of layers, and gives the directory up. */
  close(): void {
    try {
      for (const [digest, { sizeBytes }] of this.#partialLayers) if (sizeBytes === 0) this.dropPartialLayer(digest);
      for (const layer of this.#partialLayers.values()) layer.close();
      for (const [digest, kept] of this.#keptRanges) if (kept.isEmpty()) this.#dropRanges(digest);
      for (const kept of this.#keptRanges.values()) kept.close();
      removeTree(this.#repo.files, this.#path);
    } finally {
      this.#repo.files.close(this.#fd);
    }
  }
}

/** Each further attempt means that somebody has just removed a directory in the moment before it was locked. */
const attempts = 8;

function makeLockedDirectory(repo: WritableRepo): { readonly path: Path; readonly fd: Fd } {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const path = repo.unusedPath(stagingPath(repo.path), "");
    repo.files.makeDirectory(path, 0o700);
    // A cleaner may have found it before it was locked.
    const fd = openLocked(repo.files, path, { wait: true });
    if (fd !== undefined) return { path, fd };
  }
  throw new OsdeployError(
    "busy",
    `Cannot stage objects in repo "${toText(repo.path)}": its staging directories vanish`,
  );
}
