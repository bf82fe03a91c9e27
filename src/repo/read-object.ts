import { verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
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
  const bytes = repo.files.readFile(path, limitBytes);
  const measured = repo.secure ? repo.files.measureVerity(path, repo.algorithm) : verityDigest(repo.algorithm, bytes);
  if (measured === id) return bytes;
  const state = measured === undefined ? "it is not sealed with fs-verity" : `its bytes measure to ${measured}`;
  throw new OsdeployError("damaged", `Cannot use object ${id}: ${state}; run fsck`, {
    facts: { object: id, measured: measured ?? "" },
  });
}
