import { fromText } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { assert, OsdeployError } from "../core/errors.ts";
import { setLink } from "./name-link.ts";
import { judgeObject, newScratch, type ObjectStore } from "./object-check.ts";
import { ensureDirectory, readDirectoryIfExists } from "./object-listing.ts";
import type { StagedObject } from "./object-staging.ts";
import type { WritableRepo } from "./repo.ts";
import { imagesPath, objectDirectory, objectLinkTarget, objectPath, objectsPath, streamsPath } from "./repo-paths.ts";

/** What is to become part of a repo. */
export interface Publication {
  /** From any number of stagings; the same object may come several times. */
  readonly objects: readonly StagedObject[];
  /** Names for splitstreams whose object is among `objects`, or in the repo. */
  readonly streams: readonly StreamName[];
  /** Root images whose object is among `objects`, or in the repo. */
  readonly rootImages: readonly ObjectId[];
}

/** A splitstream under its content id, for example `oci-layer-sha256:…`. */
export interface StreamName {
  readonly name: string;
  readonly id: ObjectId;
}

/** What became of a {@link Publication}. */
export interface PublishReport {
  readonly addedObjects: number;
  readonly addedBytes: number;
  /** Objects that the repo held damaged, and that are whole again. */
  readonly repaired: readonly ObjectId[];
}

/**
 * Makes staged objects part of the repo, and names the splitstreams and root images among them.
 *
 * Durable before named, in both senses: all bytes are durable before the first object gets its name, all objects before
 * the first link reaches one, and all links when it returns, so that a tag or a boot entry may follow. A crash in the
 * middle leaves whole objects that nothing refers to.
 *
 * @throws OsdeployError `unsupported` when the repo is secure and an object cannot be sealed; `damaged` when the kernel
 * measures something else than was staged.
 */
export function publish(repo: WritableRepo, publication: Publication): PublishReport {
  const objects = uniqueObjects(publication.objects);
  if (objects.length > 0) makeDurable(repo, objects);
  const report = nameObjects(repo, objects);
  // Also when nothing is new: an object found in the repo may be another run's, named but not yet durable.
  repo.sync();
  linkObjects(repo, publication);
  repo.sync();
  return report;
}

function makeDurable(repo: WritableRepo, objects: readonly StagedObject[]): void {
  repo.sync();
  if (!repo.secure) return;
  // The kernel writes a file to the disk before it seals it, one by one; after the sync there is little left to write.
  for (const object of objects) seal(repo, object);
  repo.sync();
}

/** One of each id; a damaged object seen by one worker is damaged for all. */
function uniqueObjects(objects: readonly StagedObject[]): readonly StagedObject[] {
  const unique = new Map<ObjectId, StagedObject>();
  for (const object of objects) {
    if (object.replaces || !unique.has(object.id)) unique.set(object.id, object);
  }
  return [...unique.values()];
}

function seal(repo: WritableRepo, object: StagedObject): void {
  if (!repo.files.enableVerity(object.path, repo.algorithm)) {
    const state = "the repo is secure, and its file system has no fs-verity any more";
    throw new OsdeployError("unsupported", `Cannot seal object ${object.id}: ${state}`, {
      facts: { object: object.id },
    });
  }
  const measured = repo.files.measureVerity(object.path, repo.algorithm);
  if (measured === object.id) return;
  // The bytes changed between our digest and the kernel's: memory or disk is failing.
  throw new OsdeployError(
    "damaged",
    `Cannot publish object ${object.id}: the kernel measures ${measured ?? "nothing"}`,
    {
      facts: { object: object.id, measured: measured ?? "" },
    },
  );
}

function nameObjects(repo: WritableRepo, objects: readonly StagedObject[]): PublishReport {
  makeObjectDirectories(repo, objects);
  const repaired: ObjectId[] = [];
  let addedObjects = 0;
  let addedBytes = 0;
  for (const object of objects) {
    const outcome = nameObject(repo, object);
    if (outcome === "repaired") repaired.push(object.id);
    if (outcome !== "added") continue;
    addedObjects++;
    addedBytes += object.sizeBytes;
  }
  return { addedObjects, addedBytes, repaired };
}

function makeObjectDirectories(repo: WritableRepo, objects: readonly StagedObject[]): void {
  const present = new Set<string>(readDirectoryIfExists(repo.files, objectsPath(repo.path)));
  for (const prefix of new Set(objects.map((object) => object.id.slice(0, 2)))) {
    if (!present.has(prefix)) ensureDirectory(repo.files, objectDirectory(repo.path, prefix), 0o755);
  }
}

function nameObject(repo: WritableRepo, object: StagedObject): "added" | "present" | "repaired" {
  const target = objectPath(repo.path, object.id);
  if (!object.replaces) {
    try {
      repo.files.rename(object.path, target, { replace: false });
      return "added";
    } catch (error) {
      if (!(error instanceof OsdeployError && error.code === "already-exists")) throw error;
    }
    // Another run published it since this one looked. It is as good as any other file found under its final name.
    const content = { kind: "file", path: object.path } as const;
    if (judgeObject(repo.files, storeOf(repo), { id: object.id, content, scratch: newScratch() }) === "sound")
      return "present";
  }
  repo.files.rename(object.path, target);
  return "repaired";
}

function linkObjects(repo: WritableRepo, publication: Publication): void {
  for (const id of publication.rootImages) {
    assertPublished(repo, id);
    setLink(repo, imagesPath(repo.path), { name: fromText(id), target: objectLinkTarget(id) });
  }
  // After the root images: a config's stream names them.
  for (const { name, id } of publication.streams) {
    assertPublished(repo, id);
    setLink(repo, streamsPath(repo.path), { name: fromText(name), target: objectLinkTarget(id) });
  }
}

function assertPublished(repo: WritableRepo, id: ObjectId): void {
  const exists = repo.files.lstatIfExists(objectPath(repo.path, id)) !== undefined;
  assert(exists, `object ${id} is in the repo before a link refers to it`);
}

/** What of a repo judges its objects. */
function storeOf(repo: WritableRepo): ObjectStore {
  return { repoPath: repo.path, algorithm: repo.algorithm, secure: repo.secure };
}
