import { fromText } from "../core/bytes/byte-string.ts";
import type { LayerDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { FetchRange } from "../core/oci/plan-partial-pull.ts";
import { withOpen } from "../linux/file-content.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";
import { newScratch } from "./object-check.ts";
import { ensureDirectory, readDirectoryIfExists } from "./object-listing.ts";
import { lockAttempts, partialLayerPath } from "./partial-layer.ts";

/** Some bytes of a layer's blob, in a file. */
interface KeptRange extends FetchRange {
  readonly path: Path;
}

/**
 * The ranges of a layer that comes in parts, as far as they were fetched: files in a directory in `staging/` under the
 * layer's digest, each named by its place in the blob, which outlives the run however that ends. The next run plans anew,
 * by what is here then, so it takes over bytes and not requests.
 *
 * As of a {@link PartialLayer}, nothing vouches for them: the digests of the contents and of the whole do. Locked as long
 * as it is open.
 */
export class KeptRanges {
  readonly directory: Path;
  readonly #files: LinuxFiles;
  readonly #fd: Fd;
  #found: readonly KeptRange[];

  /** Not to be called but by {@link openKeptRanges}, which takes the lock first. */
  constructor(files: LinuxFiles, place: { readonly directory: Path; readonly fd: Fd; readonly whole: Path }) {
    this.#files = files;
    this.directory = place.directory;
    this.#fd = place.fd;
    this.#found = findRanges(files, place);
  }

  /** The bytes of the blob that earlier runs have left; they may overlap. */
  get found(): readonly FetchRange[] {
    return this.#found;
  }

  /** Writes what earlier runs left of the beginning of a range to an open file, and says how many bytes that were. */
  copy(range: FetchRange, target: Fd): number {
    const { offsetBytes, lengthBytes } = range;
    const [kept] = this.#found
      .filter((each) => each.offsetBytes <= offsetBytes && endOf(each) > offsetBytes)
      .sort((a, b) => endOf(b) - endOf(a));
    if (kept === undefined) return 0;
    let done = 0;
    const wanted = Math.min(lengthBytes, endOf(kept) - offsetBytes);
    const scratch = newScratch();
    try {
      withOpen(this.#files, kept.path, "read", (fd) => {
        while (done < wanted) {
          const position = offsetBytes - kept.offsetBytes + done;
          const length = Math.min(scratch.length, wanted - done);
          const got = this.#files.read(fd, scratch, { offset: 0, length, position });
          if (got === 0) return;
          this.#files.write(target, scratch.subarray(0, got));
          done += got;
        }
      });
    } catch (error) {
      // Gone, or not to be read: what was copied until then is good.
      if (!(error instanceof OsdeployError && (error.code === "not-found" || error.code === "system"))) throw error;
    }
    return done;
  }

  /** Where behind `offsetBytes` the next bytes begin that need not be fetched. */
  nextAfter(offsetBytes: number): number {
    return this.#found.reduce(
      (next, each) => (each.offsetBytes > offsetBytes ? Math.min(next, each.offsetBytes) : next),
      Number.POSITIVE_INFINITY,
    );
  }

  /** Forgets all that is here, and removes what lies in the directory: it turned out bad. */
  clear(): void {
    this.#found = [];
    for (const name of this.#files.readDirectory(this.directory)) {
      removeTree(this.#files, childPath(this.directory, name));
    }
  }

  /** Whether no byte is in the directory. */
  isEmpty(): boolean {
    const names = this.#files.readDirectory(this.directory);
    return names.every((name) => this.#files.lstat(childPath(this.directory, name)).sizeBytes === 0);
  }

  /** Removes the directory. It still has to be closed. */
  remove(): void {
    removeTree(this.#files, this.directory);
  }

  /** Gives the lock back and leaves what was fetched for the next run. */
  close(): void {
    this.#files.close(this.#fd);
  }
}

/** The bytes of a layer's blob that earlier runs have left, for who only looks; they may overlap. */
export function listKeptRanges(files: LinuxFiles, repoPath: Path, digest: LayerDigest): readonly FetchRange[] {
  const whole = partialLayerPath(repoPath, digest);
  return findRanges(files, { directory: partsDirectory(whole), whole });
}

/**
 * Bytes of a layer's beginning that serve a pull of the whole: no frame begins at 0, so what was kept from there on is that.
 * A longer file than the layer is nothing to go on with.
 */
export function begunBytes({ sizeBytes }: { readonly sizeBytes: number }, kept: readonly FetchRange[]): number {
  const begun = kept.find(({ offsetBytes }) => offsetBytes === 0)?.lengthBytes ?? 0;
  return begun <= sizeBytes ? begun : 0;
}

function findRanges(
  files: LinuxFiles,
  { directory, whole }: { readonly directory: Path; readonly whole: Path },
): readonly KeptRange[] {
  const parts = readDirectoryIfExists(files, directory).flatMap((name) =>
    rangeAt(files, childPath(directory, name), Number(name)),
  );
  // What was fetched when the layer was to come whole serves as well.
  return [...parts, ...rangeAt(files, whole, 0)];
}

function partsDirectory(whole: Path): Path {
  return `${whole}-parts` as Path;
}

/** Where the file of a range lies in its directory. */
export function rangePath(directory: Path, { offsetBytes }: FetchRange): Path {
  return childPath(directory, fromText(String(offsetBytes)));
}

/** Opens the directory of a layer's ranges, or makes it; undefined when another run is fetching the same layer. */
export function openKeptRanges(files: LinuxFiles, repoPath: Path, digest: LayerDigest): KeptRanges | undefined {
  const whole = partialLayerPath(repoPath, digest);
  const directory = partsDirectory(whole);
  for (let attempt = 0; attempt < lockAttempts; attempt++) {
    ensureDirectory(files, directory, 0o700);
    const fd = files.open(directory, "directory");
    if (!files.lock(fd, "exclusive", { wait: false })) {
      files.close(fd);
      return undefined;
    }
    if (files.lstatIfExists(directory)?.identity === files.fstat(fd).identity) {
      return new KeptRanges(files, { directory, fd, whole });
    }
    files.close(fd);
  }
  return undefined;
}

function rangeAt(files: LinuxFiles, path: Path, offsetBytes: number): readonly KeptRange[] {
  const stat = Number.isSafeInteger(offsetBytes) ? files.lstatIfExists(path) : undefined;
  if (stat?.kind !== "regular" || stat.sizeBytes === 0) return [];
  return [{ path, offsetBytes, lengthBytes: stat.sizeBytes }];
}

function endOf({ offsetBytes, lengthBytes }: FetchRange): number {
  return offsetBytes + lengthBytes;
}
