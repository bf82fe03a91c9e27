import { type BlockHasher, verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { filesOfObjects } from "./fsck-files.ts";
import { checkNames } from "./fsck-names.ts";
import { FsckProblems, type FsckReport } from "./fsck-report.ts";
import { checkStreamContents } from "./fsck-streams.ts";
import { digestFile, newScratch } from "./object-check.ts";
import { ObjectGraph } from "./object-graph.ts";
import { listObjects } from "./object-listing.ts";
import { listPartialLayers } from "./partial-layer.ts";
import type { Repo } from "./repo.ts";
import { metaPath, objectPath } from "./repo-paths.ts";
import { listDeadStaging } from "./staging-leftovers.ts";
import { isTemporaryName } from "./temporary-name.ts";

/** How thorough a check is, and what it is to know. */
export interface FsckOptions {
  /** Whether to skip reading every object's bytes, alone and as parts of streams; all else is checked the same. */
  readonly metadataOnly: boolean;
  /** The root images of deployments, by the name to report them with. */
  readonly deployments: ReadonlyMap<string, ObjectId>;
  /** A faster block hasher than Node's own. */
  readonly hashBlocks?: BlockHasher;
  /** Told before each object: how many are done, of how many. */
  readonly onObject?: (done: number, total: number) => void;
}

/**
 * Checks a whole repo: meta.json, every object by the kernel's measurement (secure mode) and by its bytes, every stream
 * and root image with all that they refer to, every name. Reads everything, changes nothing, and never stops at the first
 * problem. Each problem says which tags, root images and deployments it hits.
 */
export function checkRepo(repo: Repo, options: FsckOptions): FsckReport {
  const problems = new FsckProblems(repo.path);
  checkMeta(repo, problems);
  const objects = checkObjects(repo, options, problems);
  const graph = new ObjectGraph(repo);
  const names = checkNames(repo, { graph, deployments: options.deployments, existing: objects.ids }, problems);
  if (!options.metadataOnly) checkStreamContents(repo, names.streamLinks, problems);
  for (const path of listDeadStaging(repo.files, repo.path)) {
    problems.add({ kind: "leftover", path, message: "a run that stopped in the middle left it; gc removes it" });
  }
  for (const path of listPartialLayers(repo.files, repo.path)) {
    const message =
      "a pull that stopped left what it had fetched of a layer; the next one goes on with it, gc removes it";
    problems.add({ kind: "leftover", path, message });
  }
  return problems.report({
    objects: objects.ids.size,
    objectBytes: objects.bytes,
    streams: names.streamLinks.length,
    images: names.images,
    hits: names.keepers,
    files: filesOfObjects(repo, names.keepers, problems.objects),
  });
}

/** `meta.json` was parsed when the repo was opened; what is left is its seal. */
function checkMeta(repo: Repo, problems: FsckProblems): void {
  const path = metaPath(repo.path);
  if (repo.oldFormat) {
    problems.add({
      kind: "meta-missing",
      path,
      message: "the repo is of the old format; opening it for writing adds it",
    });
  } else if (repo.secure) {
    const measured = repo.files.measureVerity(path, repo.algorithm);
    const wanted = verityDigest(repo.algorithm, repo.files.readFile(path, 1024 * 1024));
    if (measured === wanted) return;
    problems.add({
      kind: "meta-damaged",
      path,
      message: `its bytes measure to ${wanted}, its seal says ${measured ?? "nothing"}`,
    });
  }
}

interface CheckedObjects {
  readonly ids: ReadonlySet<ObjectId>;
  readonly bytes: number;
}

function checkObjects(repo: Repo, options: FsckOptions, problems: FsckProblems): CheckedObjects {
  const { ids, strays } = listObjects(repo.files, repo.path, repo.algorithm);
  for (const path of strays) addStray(path, problems);
  const scratch = newScratch();
  let bytes = 0;
  let done = 0;
  for (const id of ids) {
    options.onObject?.(done++, ids.size);
    bytes += checkObject(repo, { id, options, scratch }, problems);
  }
  return { ids, bytes };
}

function addStray(path: Path, problems: FsckProblems): void {
  const left = isTemporaryName(path.slice(path.lastIndexOf("/") + 1));
  problems.add(
    left
      ? { kind: "leftover", path, message: "a run that stopped in the middle left it; gc removes it" }
      : { kind: "stray-file", path, message: "no object has such a name; gc leaves it alone" },
  );
}

interface ObjectToCheck {
  readonly id: ObjectId;
  readonly options: FsckOptions;
  readonly scratch: Uint8Array;
}

/** Checks one object and says how many bytes it has. */
function checkObject(repo: Repo, object: ObjectToCheck, problems: FsckProblems): number {
  const { id } = object;
  const path = objectPath(repo.path, id);
  const stat = repo.files.lstat(path);
  if (stat.kind !== "regular") {
    problems.add({ kind: "object-damaged", path, object: id, message: `it is a ${stat.kind}, not a regular file` });
    return 0;
  }
  try {
    checkContent(repo, object, problems);
  } catch (error) {
    // Also what cannot be opened to be measured: a file system refuses a file whose seal is damaged.
    if (!(error instanceof OsdeployError)) throw error;
    problems.add({ kind: "object-unreadable", path, object: id, message: error.message });
  }
  return stat.sizeBytes;
}

function checkContent(repo: Repo, { id, options, scratch }: ObjectToCheck, problems: FsckProblems): void {
  const path = objectPath(repo.path, id);
  if (repo.secure) {
    const measured = repo.files.measureVerity(path, repo.algorithm);
    if (measured === undefined) {
      problems.add({ kind: "object-unsealed", path, object: id, message: "the repo is secure, and it is not sealed" });
    } else if (measured !== id) {
      problems.add({ kind: "object-damaged", path, object: id, message: `the kernel measures ${measured}` });
      return;
    }
  }
  if (options.metadataOnly) return;
  const { algorithm } = repo;
  const digested = digestFile(repo.files, path, { algorithm, hashBlocks: options.hashBlocks, scratch });
  if (digested.id === id) return;
  const message = `its ${digested.sizeBytes} bytes measure to ${digested.id}`;
  problems.add({ kind: "object-damaged", path, object: id, message });
}
