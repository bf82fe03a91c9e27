import { fromText } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { assert } from "../core/errors.ts";
import { setLink } from "./name-link.ts";
import { type NamingReport, nameObjects } from "./name-objects.ts";
import type { ObjectStore } from "./object-check.ts";
import type { StagedObject } from "./object-staging.ts";
import type { WritableRepo } from "./repo.ts";
import { imagesPath, objectLinkTarget, objectPath, streamsPath } from "./repo-paths.ts";

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
export function publish(repo: WritableRepo, publication: Publication): NamingReport {
  const report = nameObjects(repo.files, storeOf(repo), publication.objects);
  // Also when nothing is new: an object found in the repo may be another run's, named but not yet durable.
  repo.sync();
  linkObjects(repo, publication);
  repo.sync();
  return report;
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
export function storeOf(repo: WritableRepo): ObjectStore {
  return { repoPath: repo.path, algorithm: repo.algorithm, secure: repo.secure };
}
