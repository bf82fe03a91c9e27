import { type LayerDigest, splitDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import { readDirectoryIfExists } from "./object-listing.ts";
import { stagingPath } from "./repo-paths.ts";

const prefix = "layer-";
/** Each further attempt means that somebody has just removed the file in the moment before it was locked. */
export const lockAttempts = 8;

/**
 * The bytes of a layer as far as they were fetched: a file in `staging/` under the layer's digest, which outlives the run,
 * so that the next one goes on where this one ended.
 *
 * Nothing vouches for what an earlier run wrote: whoever uses it compares the digest of the whole, and removes the file
 * when it is another one. Locked as long as it is open.
 */
export class PartialLayer {
  readonly path: Path;
  readonly #files: LinuxFiles;
  readonly #fd: Fd;
  #sizeBytes: number;

  /** Not to be called but by {@link openPartialLayer}, which takes the lock first. */
  constructor(files: LinuxFiles, path: Path, fd: Fd) {
    this.#files = files;
    this.path = path;
    this.#fd = fd;
    this.#sizeBytes = files.fstat(fd).sizeBytes;
  }

  /** Bytes that are in the file. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  append(bytes: Uint8Array): void {
    this.#files.write(this.#fd, bytes);
    this.#sizeBytes += bytes.length;
  }

  /** Gives the lock back and leaves the file for the next run. */
  close(): void {
    this.#files.close(this.#fd);
  }

  /** Removes the file. It still has to be closed. */
  remove(): void {
    this.#files.unlink(this.path);
  }
}

/** Opens the file of a layer, or makes it; undefined when another run is fetching the same layer. */
export function openPartialLayer(files: LinuxFiles, repoPath: Path, digest: LayerDigest): PartialLayer | undefined {
  const path = partialLayerPath(repoPath, digest);
  for (let attempt = 0; attempt < lockAttempts; attempt++) {
    const fd = openToAppend(files, path);
    if (!files.lock(fd, "exclusive", { wait: false })) {
      files.close(fd);
      return undefined;
    }
    if (files.lstatIfExists(path)?.identity === files.fstat(fd).identity) return new PartialLayer(files, path, fd);
    files.close(fd);
  }
  return undefined;
}

/** Where the file of a layer lies; those of parts of it have names that begin like it. */
export function partialLayerPath(repoPath: Path, digest: LayerDigest): Path {
  const { algorithm, hex } = splitDigest(digest);
  return pathBelow(stagingPath(repoPath), `${prefix}${algorithm}-${hex}`);
}

/**
 * The files of layers that are fetched in part, or were fetched and never imported; where `before` (milliseconds since 1970)
 * is given, only those that have not changed since then.
 */
export function listPartialLayers(
  files: LinuxFiles,
  repoPath: Path,
  { before = Number.POSITIVE_INFINITY }: { readonly before?: number } = {},
): readonly Path[] {
  const isOlder = (path: Path) => {
    const stat = files.lstatIfExists(path);
    return stat !== undefined && Number(stat.mtimeSeconds) * 1000 < before;
  };
  return readDirectoryIfExists(files, stagingPath(repoPath))
    .filter(isPartialLayer)
    .map((name) => childPath(stagingPath(repoPath), name))
    .filter(isOlder);
}

/** Whether a name in `staging/` is that of such a file, and not the directory of a run. */
export function isPartialLayer(name: string): boolean {
  return name.startsWith(prefix);
}

/** Opens a file for writing at its end, or makes it. */
export function openToAppend(files: LinuxFiles, path: Path): Fd {
  try {
    return files.open(path, "append");
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "not-found")) throw error;
  }
  try {
    return files.open(path, "create", 0o600);
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "already-exists")) throw error;
    return files.open(path, "append");
  }
}
