import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import { withOpen } from "../linux/file-content.ts";
import type { LinuxFiles } from "../linux/linux.ts";
import { judgeObject, newScratch, type ObjectStore } from "./object-check.ts";
import { ensureDirectory, readDirectoryIfExists } from "./object-listing.ts";
import type { StagedObject } from "./object-staging.ts";
import { objectDirectory, objectPath, objectsPath } from "./repo-paths.ts";

/** What became of staged objects. */
export interface NamingReport {
  readonly addedObjects: number;
  readonly addedBytes: number;
  /** Objects that the repo held damaged, and that are whole again. */
  readonly repaired: readonly ObjectId[];
}

/**
 * Gives staged objects their names: makes all bytes durable, seals them where the repo is secure, and only then renames.
 * The names themselves are not durable when it returns. A thread can do this, and several can side by side, also where
 * they have the same objects.
 *
 * @throws OsdeployError `unsupported` when the repo is secure and an object cannot be sealed; `damaged` when the kernel
 * measures something else than was staged.
 */
export function nameObjects(files: LinuxFiles, store: ObjectStore, staged: readonly StagedObject[]): NamingReport {
  const objects = uniqueObjects(staged);
  if (objects.length > 0) makeDurable(files, store, objects);
  makeObjectDirectories(files, store, objects);
  const repaired: ObjectId[] = [];
  let addedObjects = 0;
  let addedBytes = 0;
  for (const object of objects) {
    const outcome = nameObject(files, store, object);
    if (outcome === "repaired") repaired.push(object.id);
    if (outcome !== "added") continue;
    addedObjects++;
    addedBytes += object.sizeBytes;
  }
  return { addedObjects, addedBytes, repaired };
}

/** What several threads named, in one report. */
export function sumReports(reports: readonly NamingReport[]): NamingReport {
  return {
    addedObjects: reports.reduce((sum, { addedObjects }) => sum + addedObjects, 0),
    addedBytes: reports.reduce((sum, { addedBytes }) => sum + addedBytes, 0),
    repaired: [...new Set(reports.flatMap(({ repaired }) => repaired))],
  };
}

/** One of each id; a damaged object seen by one worker is damaged for all. */
function uniqueObjects(objects: readonly StagedObject[]): readonly StagedObject[] {
  const unique = new Map<ObjectId, StagedObject>();
  for (const object of objects) {
    if (object.replaces || !unique.has(object.id)) unique.set(object.id, object);
  }
  return [...unique.values()];
}

function makeDurable(files: LinuxFiles, store: ObjectStore, objects: readonly StagedObject[]): void {
  const sync = () => withOpen(files, store.repoPath, "directory", (fd) => files.syncFileSystem(fd));
  sync();
  if (!store.secure) return;
  // The kernel writes a file to the disk before it seals it, one by one; after the sync there is little left to write.
  for (const object of objects) seal(files, store, object);
  sync();
}

function seal(files: LinuxFiles, { algorithm }: ObjectStore, object: StagedObject): void {
  if (!files.enableVerity(object.path, algorithm)) {
    const state = "the repo is secure, and its file system has no fs-verity any more";
    throw new OsdeployError("unsupported", `Cannot seal object ${object.id}: ${state}`, {
      facts: { object: object.id },
    });
  }
  const measured = files.measureVerity(object.path, algorithm);
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

function makeObjectDirectories(files: LinuxFiles, { repoPath }: ObjectStore, objects: readonly StagedObject[]): void {
  const present = new Set<string>(readDirectoryIfExists(files, objectsPath(repoPath)));
  for (const prefix of new Set(objects.map((object) => object.id.slice(0, 2)))) {
    if (!present.has(prefix)) ensureDirectory(files, objectDirectory(repoPath, prefix), 0o755);
  }
}

function nameObject(files: LinuxFiles, store: ObjectStore, object: StagedObject): "added" | "present" | "repaired" {
  const target = objectPath(store.repoPath, object.id);
  if (!object.replaces) {
    try {
      files.rename(object.path, target, { replace: false });
      return "added";
    } catch (error) {
      if (!(error instanceof OsdeployError && error.code === "already-exists")) throw error;
    }
    // Another run or thread named it since this one looked. It is as good as any other file found under its final name.
    const content = { kind: "file", path: object.path } as const;
    if (judgeObject(files, store, { id: object.id, content, scratch: newScratch() }) === "sound") return "present";
  }
  files.rename(object.path, target);
  return "repaired";
}
