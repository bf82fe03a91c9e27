import { type ByteString, fromText, toText } from "../core/bytes/byte-string.ts";
import type { DiffId } from "../core/digest/oci-digest.ts";
import { unlessFailing } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import { readContentIndex } from "./content-index-file.ts";
import { ContentTable, type LoadedIndex } from "./content-table.ts";
import { unlinkIfExists } from "./name-link.ts";
import { ensureDirectory, readDirectoryIfExists } from "./object-listing.ts";
import type { Repo, WritableRepo } from "./repo.ts";
import { findStream, layerStreamName } from "./streams.ts";

/** An index is some 60 bytes for each file of its layer. */
const fileLimitBytes = 64 * 1024 * 1024;
/** All indexes together; they are held in memory. */
const totalLimitBytes = 256 * 1024 * 1024;

/**
 * The content index of a repo: for each of its layers a file that says which sha256 the contents in it have. A cache:
 * whatever is missing, stale or damaged in it costs bytes of a download, and never more.
 *
 * It lies beside `objects/`, where composefs-rs does not look.
 *
 * @see docs/reference/formats/content-index.md
 */
export class ContentIndex {
  readonly #repo: Repo;
  readonly #layers: readonly DiffId[];
  readonly #starts: readonly number[];
  /** Undefined when the index is empty. */
  readonly table: ContentTable | undefined;

  private constructor(repo: Repo, layers: readonly DiffId[], loaded: readonly LoadedIndex[]) {
    this.#repo = repo;
    this.#layers = layers;
    const { table, starts } = ContentTable.of(repo.algorithm, loaded);
    this.#starts = starts;
    this.table = loaded.length === 0 ? undefined : table;
  }

  /**
   * Reads the indexes of all layers that the repo still has. `measured` are indexes of further layers, that were made just now
   * and lie nowhere.
   */
  static load(repo: Repo, measured: ReadonlyMap<DiffId, Uint8Array> = new Map()): ContentIndex {
    const layers: DiffId[] = [];
    const loaded: LoadedIndex[] = [];
    let total = 0;
    for (const { diffId, path } of listIndexes(repo)) {
      const index = readIndex(repo, path);
      if (index === undefined || total + index.bytes.length > totalLimitBytes) continue;
      total += index.bytes.length;
      layers.push(diffId);
      loaded.push(index);
    }
    for (const [diffId, bytes] of measured) {
      const layout = readContentIndex(bytes, repo.algorithm);
      if (layout === undefined) continue;
      layers.push(diffId);
      loaded.push({ bytes, layout });
    }
    return new ContentIndex(repo, layers, loaded);
  }

  /** Whether it knows what the layer holds. */
  has(diffId: DiffId): boolean {
    return this.#layers.includes(diffId);
  }

  /** Removes the indexes that these records of the table stand in, and what the table has of them: they claim what is not so. */
  distrust(records: readonly number[]): void {
    const wrong = new Set(records.map((record) => this.#starts.findLastIndex((start) => start <= record)));
    for (const number of wrong) {
      const diffId = this.#layers[number];
      this.table?.forget(this.#starts[number] ?? 0, this.#starts[number + 1] ?? Number.POSITIVE_INFINITY);
      if (diffId !== undefined) unlinkIfExists(this.#repo.files, indexPath(this.#repo, diffId));
    }
  }
}

/**
 * Takes over the index of a layer from a file on the repo's file system. Not synced: a torn one is found damaged, and a
 * lost one is made again.
 */
export function putContentIndex(repo: WritableRepo, diffId: DiffId, from: Path): void {
  ensureDirectory(repo.files, directoryOf(repo), 0o755);
  repo.files.rename(from, indexPath(repo, diffId));
}

/** Removes the indexes of layers that the repo does not have any more. */
export function removeStaleIndexes(repo: WritableRepo): void {
  for (const name of readDirectoryIfExists(repo.files, directoryOf(repo))) {
    const diffId = diffIdOf(name);
    const isStale = diffId !== undefined && findStream(repo, layerStreamName(diffId)) === undefined;
    if (isStale) unlinkIfExists(repo.files, childPath(directoryOf(repo), name));
  }
}

function listIndexes(repo: Repo): readonly { readonly diffId: DiffId; readonly path: Path }[] {
  return readDirectoryIfExists(repo.files, directoryOf(repo)).flatMap((name) => {
    const diffId = diffIdOf(name);
    if (diffId === undefined || findStream(repo, layerStreamName(diffId)) === undefined) return [];
    return [{ diffId, path: childPath(directoryOf(repo), name) }];
  });
}

function readIndex(repo: Repo, path: Path): LoadedIndex | undefined {
  return unlessFailing(() => {
    const bytes = repo.files.readFile(path, fileLimitBytes);
    const layout = readContentIndex(bytes, repo.algorithm);
    return layout === undefined ? undefined : { bytes, layout };
  });
}

function directoryOf(repo: Repo): Path {
  return pathBelow(repo.path, "content-index");
}

function indexPath(repo: Repo, diffId: DiffId): Path {
  return childPath(directoryOf(repo), fromText(diffId.replace(":", "-")));
}

function diffIdOf(name: ByteString): DiffId | undefined {
  const match = /^(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})$/.exec(toText(name));
  return match === null ? undefined : (name.replace("-", ":") as string as DiffId);
}
