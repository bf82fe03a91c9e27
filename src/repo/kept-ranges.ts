import type { LayerDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { withOpen } from "../linux/file-content.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { unlinkIfExists } from "./name-link.ts";
import { newScratch } from "./object-check.ts";
import { listPartialLayers, partialLayerPath } from "./partial-layer.ts";

/** Some bytes of a layer's blob, in a file. */
interface KeptRange {
  readonly path: Path;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

const infix = "-from-";

/**
 * Parts of a layer's blob that a run has fetched before it was stopped: files in `staging/` under the layer's digest and
 * their place in the blob. The next run plans anew, by what is here then, so it takes over bytes and not requests.
 *
 * As of a {@link PartialLayer}, nothing vouches for them: the digests of the contents and of the whole do. Not locked: who
 * finds them gone fetches again.
 */
export class KeptRanges {
  readonly #files: LinuxFiles;
  readonly #ranges: readonly KeptRange[];

  private constructor(files: LinuxFiles, ranges: readonly KeptRange[]) {
    this.#files = files;
    this.#ranges = ranges;
  }

  static find(files: LinuxFiles, repoPath: Path, digest: LayerDigest): KeptRanges {
    const start = `${partialLayerPath(repoPath, digest)}${infix}`;
    const ranges = listPartialLayers(files, repoPath).flatMap((path): readonly KeptRange[] => {
      const offsetBytes = path.startsWith(start) ? Number(path.slice(start.length)) : Number.NaN;
      const stat = Number.isSafeInteger(offsetBytes) ? files.lstatIfExists(path) : undefined;
      return stat?.kind === "regular" ? [{ path, offsetBytes, sizeBytes: stat.sizeBytes }] : [];
    });
    return new KeptRanges(files, ranges);
  }

  /** Writes what is here of the beginning of a range to an open file, and says how many bytes that were. */
  copy(range: { readonly offsetBytes: number; readonly lengthBytes: number }, target: Fd): number {
    const { offsetBytes, lengthBytes } = range;
    const reach = (each: KeptRange) => each.offsetBytes + each.sizeBytes;
    const [kept] = this.#ranges
      .filter((each) => each.offsetBytes <= offsetBytes && reach(each) > offsetBytes)
      .sort((a, b) => reach(b) - reach(a));
    if (kept === undefined) return 0;
    let done = 0;
    const scratch = newScratch();
    try {
      withOpen(this.#files, kept.path, "read", (fd) => {
        while (done < lengthBytes) {
          const position = offsetBytes - kept.offsetBytes + done;
          const length = Math.min(scratch.length, lengthBytes - done);
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

  /** Removes the files. */
  drop(): void {
    for (const { path } of this.#ranges) unlinkIfExists(this.#files, path);
  }
}

/** Keeps the bytes of a file, which lie at this place of the layer's blob, for the next run. */
export function keepRange(
  files: LinuxFiles,
  repoPath: Path,
  range: { readonly digest: LayerDigest; readonly offsetBytes: number; readonly path: Path },
): void {
  const stat = files.lstatIfExists(range.path);
  if (stat === undefined || stat.sizeBytes === 0) return;
  files.rename(range.path, `${partialLayerPath(repoPath, range.digest)}${infix}${range.offsetBytes}` as Path);
}
