import { verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { type ErrorCode, OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import { digestFile } from "./object-check.ts";
import type { Repo } from "./repo.ts";
import { objectPath } from "./repo-paths.ts";

/**
 * The bytes of the object `id`, checked: by the kernel's measurement in a secure repo, else by their digest.
 *
 * @throws OsdeployError `not-found`; `limit-exceeded` when it is larger than `limitBytes`; `damaged` when its bytes are
 * not those its name says.
 */
export function readObject(repo: Repo, id: ObjectId, limitBytes: number): Uint8Array {
  const path = objectPath(repo.path, id);
  const bytes = tellingDamage(repo, id, () => repo.files.readFile(path, limitBytes));
  const measured = repo.secure ? repo.files.measureVerity(path, repo.algorithm) : verityDigest(repo.algorithm, bytes);
  if (measured !== id) throw damaged(id, measured);
  return bytes;
}

/**
 * Where the object `id` lies, after all of its bytes were read and found right: for a file that is copied out of the repo
 * and then has to start a machine. Objects of any size; constant memory.
 *
 * @throws OsdeployError `not-found`; `damaged`.
 */
export function soundObjectPath(repo: Repo, id: ObjectId): Path {
  const path = objectPath(repo.path, id);
  const { algorithm, files } = repo;
  const hashBlocks = multiBufferHasher(algorithm);
  const measured = tellingDamage(repo, id, () => {
    // Most files are far smaller than what is read at once of others, and room has to be made for each.
    const scratch = new Uint8Array(Math.min(Math.max(files.lstat(path).sizeBytes, 1), scratchBytes));
    return digestFile(files, path, { algorithm, hashBlocks, scratch }).id;
  });
  if (measured !== id) throw damaged(id, measured);
  return path;
}

/**
 * What `read` gives of the object `id`. The kernel refuses bytes of a sealed file that are not the sealed ones by the same
 * error as a disk that fails (EIO), so the seal is asked which of them it may be.
 *
 * @throws OsdeployError `damaged` when an object that is sealed cannot be read; else what `read` throws.
 */
export function tellingDamage<T>(repo: Repo, id: ObjectId, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw damageBehind(repo, id, error) ?? error;
  }
}

function damageBehind({ files, path, algorithm }: Repo, id: ObjectId, error: unknown): OsdeployError | undefined {
  if (!(error instanceof OsdeployError) || error.facts["errno"] !== "EIO") return undefined;
  const seal = unlessDamaged(() => files.measureVerity(objectPath(path, id), algorithm));
  if (seal === undefined) return undefined;
  const state =
    "it is sealed, and the kernel refuses to read it: its bytes are not those that were sealed, or the disk fails";
  return new OsdeployError("damaged", `Cannot use object ${id}: ${state}; run fsck`, {
    facts: { object: id, measured: seal },
    cause: error,
  });
}

/** Whether the repo has the object `id`, whole: all of its bytes are read. */
export function isSoundObject(repo: Repo, id: ObjectId): boolean {
  return unlessDamaged(() => soundObjectPath(repo, id)) !== undefined;
}

/** What `read` gives; undefined when something that it needs of the repo is missing or damaged. */
export function unlessDamaged<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof OsdeployError && brokenCodes.has(error.code)) return undefined;
    throw error;
  }
}

/** How a broken object shows: gone, other bytes, or the disk or fs-verity refuses to read it. */
const brokenCodes: ReadonlySet<ErrorCode> = new Set(["not-found", "damaged", "system"]);

const scratchBytes = 1024 * 1024;

function damaged(id: ObjectId, measured: ObjectId | undefined): OsdeployError {
  const state = measured === undefined ? "it is not sealed with fs-verity" : `its bytes measure to ${measured}`;
  return new OsdeployError("damaged", `Cannot use object ${id}: ${state}; run fsck`, {
    facts: { object: id, measured: measured ?? "" },
  });
}
