import { type ByteString, toText } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import { readLinkIfExists } from "./name-link.ts";
import { ObjectGraph, type Role, type Root } from "./object-graph.ts";
import { listObjects, readDirectoryIfExists } from "./object-listing.ts";
import { listPartialLayers } from "./partial-layer.ts";
import { describeReference, listReferences, type Reference } from "./references.ts";
import type { Repo } from "./repo.ts";
import { imagesPath, linkedObject, objectPath, streamsPath } from "./repo-paths.ts";
import { listDeadStaging } from "./staging-leftovers.ts";
import { isTemporaryName } from "./temporary-name.ts";

/** What a garbage collection takes away, and what it leaves although nothing refers to it. */
export interface GcPlan {
  /** References that reach nothing. */
  readonly danglingReferences: readonly Path[];
  /** Links in `streams/` and `images/` to what no root reaches. */
  readonly links: readonly Path[];
  readonly objects: readonly GarbageObject[];
  /** What runs that stopped in the middle left behind: temporary names, and staging directories. */
  readonly leftovers: readonly Path[];
  /** The sum of the sizes of `objects`. */
  readonly objectBytes: number;
  readonly keptObjects: number;
  /** What no program that we know put there. It is never touched. */
  readonly strays: readonly Path[];
  /** Roots that the caller gave and the repo does not have. */
  readonly missingImages: readonly ObjectId[];
}

export interface GarbageObject {
  readonly id: ObjectId;
  readonly sizeBytes: number;
}

/** What a collection keeps besides what `streams/refs` and `images/refs` reach. */
export interface GcOptions {
  /** The root images of deployments. */
  readonly keepImages: readonly ObjectId[];
  /** Tags that are about to be taken away, and keep nothing: for a plan of what would go with them. */
  readonly withoutTags?: ReadonlySet<string>;
  /**
   * What was fetched of layers stays when it has changed since then (milliseconds since 1970), so that a pull that was stopped goes
   * on from there; it does not when not given.
   */
  readonly keepFetchedSince?: number;
}

/**
 * Decides what is garbage: everything that neither a reference nor one of the `keepImages` reaches. What a program that we
 * do not know left is reported and never stops it.
 *
 * @throws OsdeployError `damaged` when something that is reached cannot be read: what it keeps is then unknown, and nothing
 * may be taken away.
 */
export function planGc(repo: Repo, options: GcOptions): GcPlan {
  const references = listReferences(repo).filter(
    (reference) =>
      !isTemporaryName(fileName(reference)) && options.withoutTags?.has(describeReference(reference)) !== true,
  );
  const found = references.map((reference) => ({ reference, root: rootOf(repo, reference) }));
  const images = options.keepImages.map((id): Root => ({ role: "image", id }));
  const reached = reach(repo, [...found.flatMap(({ root }) => (root === undefined ? [] : [root])), ...images]);
  const names = [
    sortNames(repo, { role: "stream", directory: streamsPath(repo.path) }, reached),
    sortNames(repo, { role: "image", directory: imagesPath(repo.path) }, reached),
  ];
  const objects = sortObjects(repo, reached.live);
  return {
    danglingReferences: found.flatMap(({ reference, root }) =>
      root === undefined && reference.target !== undefined ? [reference.path] : [],
    ),
    links: names.flatMap((name) => name.dead),
    objects: objects.garbage,
    leftovers: [...findLeftovers(repo, options), ...objects.leftovers],
    objectBytes: objects.garbage.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    keptObjects: objects.kept,
    strays: [
      ...names.flatMap((name) => name.strays),
      ...references.flatMap((reference) => (reference.target === undefined ? [reference.path] : [])),
      ...objects.strays,
    ],
    missingImages: options.keepImages.filter((id) => repo.files.lstatIfExists(objectPath(repo.path, id)) === undefined),
  };
}

/** The object that a reference keeps; undefined when it reaches none. */
export function rootOf(repo: Repo, reference: Reference): Root | undefined {
  if (reference.target === undefined) return undefined;
  const directory = reference.kind === "stream" ? streamsPath(repo.path) : imagesPath(repo.path);
  const link = readLinkIfExists(repo.files, childPath(directory, reference.target));
  const id = link === undefined ? undefined : linkedObject(link);
  if (id === undefined || repo.files.lstatIfExists(objectPath(repo.path, id)) === undefined) return undefined;
  return { role: reference.kind, id };
}

/** What is reached from the roots. */
interface Reached {
  readonly live: ReadonlySet<ObjectId>;
  /** What was read as a stream or an image, and not only as somebody's file of the same content. */
  readonly roots: Readonly<Record<Role, ReadonlySet<ObjectId>>>;
}

function reach(repo: Repo, start: readonly Root[]): Reached {
  const graph = new ObjectGraph(repo);
  const live = new Set<ObjectId>();
  const roots = { stream: new Set<ObjectId>(), image: new Set<ObjectId>() };
  for (const root of graph.reachable(start)) {
    const references = graph.references(root);
    if (references.kind === "unreadable") throw unreadable(repo, root, references.error);
    // A missing object keeps nothing, and nobody can use what it kept by way of it. fsck tells of it.
    if (references.kind === "missing") continue;
    live.add(root.id);
    roots[root.role].add(root.id);
    for (const id of references.objects) live.add(id);
  }
  return { live, roots };
}

/** Sorts the first-level names of `streams/` or `images/`: the rest are alive. */
function sortNames(
  repo: Repo,
  place: { readonly role: Role; readonly directory: Path },
  reached: Reached,
): { readonly dead: readonly Path[]; readonly strays: readonly Path[] } {
  const dead: Path[] = [];
  const strays: Path[] = [];
  for (const name of readDirectoryIfExists(repo.files, place.directory)) {
    if (name === "refs" || isTemporaryName(name)) continue;
    const path = childPath(place.directory, name);
    const link = readLinkIfExists(repo.files, path);
    const id = link === undefined ? undefined : linkedObject(link);
    if (id === undefined) strays.push(path);
    else if (!reached.roots[place.role].has(id)) dead.push(path);
  }
  return { dead, strays };
}

interface SortedObjects {
  readonly garbage: readonly GarbageObject[];
  readonly kept: number;
  readonly leftovers: readonly Path[];
  readonly strays: readonly Path[];
}

function sortObjects(repo: Repo, live: ReadonlySet<ObjectId>): SortedObjects {
  const { ids, strays } = listObjects(repo.files, repo.path, repo.algorithm);
  const garbage: GarbageObject[] = [];
  const foreign: Path[] = [];
  let kept = 0;
  for (const id of ids) {
    if (live.has(id)) {
      kept++;
      continue;
    }
    const stat = repo.files.lstat(objectPath(repo.path, id));
    if (stat.kind === "regular") garbage.push({ id, sizeBytes: stat.sizeBytes });
    else foreign.push(objectPath(repo.path, id));
  }
  return {
    garbage,
    kept,
    leftovers: strays.filter((path) => isTemporaryName(lastName(path))),
    strays: [...strays.filter((path) => !isTemporaryName(lastName(path))), ...foreign],
  };
}

/** Temporary names outside the object directory, the staging directories of dead runs, and layers fetched in part. */
function findLeftovers(repo: Repo, { keepFetchedSince = Number.POSITIVE_INFINITY }: GcOptions): readonly Path[] {
  const directories = [repo.path, streamsPath(repo.path), imagesPath(repo.path)];
  const temporary = directories.flatMap((directory) =>
    readDirectoryIfExists(repo.files, directory)
      .filter(isTemporaryName)
      .map((name) => childPath(directory, name)),
  );
  const inReferences = listReferences(repo).filter((reference) => isTemporaryName(fileName(reference)));
  const fetched = listPartialLayers(repo.files, repo.path, { before: keepFetchedSince });
  const staged = [...listDeadStaging(repo.files, repo.path), ...fetched];
  return [...temporary, ...inReferences.map(({ path }) => path), ...staged];
}

function unreadable(repo: Repo, root: Root, cause: OsdeployError): OsdeployError {
  const names = listReferences(repo)
    .filter((reference) => rootOf(repo, reference)?.id === root.id)
    .map(describeReference);
  const by = names.length === 0 ? "" : `, named by ${names.join(", ")},`;
  const state = `the ${root.role} ${root.id}${by} cannot be read, so what it keeps is unknown`;
  return new OsdeployError("damaged", `Cannot collect garbage in repo "${toText(repo.path)}": ${state}; run fsck`, {
    facts: { object: root.id },
    cause,
  });
}

function fileName(reference: Reference): ByteString {
  return lastName(reference.path);
}

/** The part of a path behind its last slash. */
function lastName(path: Path): ByteString {
  return path.slice(path.lastIndexOf("/") + 1) as ByteString;
}
