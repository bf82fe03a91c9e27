import { VerityHasher } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import { tellingDamage } from "./read-object.ts";
import type { Repo } from "./repo.ts";
import { objectPath } from "./repo-paths.ts";

const pieceBytes = 1024 * 1024;

/**
 * Hands all bytes of the object `id` to `use`, in pieces that are valid only until it is done with them. Objects of any
 * size; constant memory.
 *
 * @throws OsdeployError `not-found`; `damaged`, possibly after all bytes were handed out, when they are not those that
 * the object's name says.
 */
export async function streamObject(repo: Repo, id: ObjectId, use: (piece: Uint8Array) => Promise<void>): Promise<void> {
  const hasher = new VerityHasher(repo.algorithm);
  const fd = repo.files.open(objectPath(repo.path, id), "read");
  try {
    const buffer = new Uint8Array(pieceBytes);
    for (;;) {
      const length = tellingDamage(repo, id, () => repo.files.read(fd, buffer, { offset: 0, length: buffer.length }));
      if (length === 0) break;
      const piece = buffer.subarray(0, length);
      hasher.update(piece);
      await use(piece);
    }
  } finally {
    repo.files.close(fd);
  }
  const measured = hasher.digest();
  if (measured === id) return;
  throw new OsdeployError("damaged", `Cannot use object ${id}: its bytes measure to ${measured}; run fsck`, {
    facts: { object: id, measured },
  });
}
