import { toBytes } from "../core/bytes/byte-string.ts";
import { parseObjectId } from "../core/digest/object-id.ts";
import { assert } from "../core/errors.ts";
import type { FileContent } from "../core/tree/inode.ts";
import { readObject } from "../repo/read-object.ts";
import type { Repo } from "../repo/repo.ts";

/** Files of a policy are at most some megabytes. */
export const contentLimitBytes = 64 * 1024 * 1024;

/**
 * The bytes of a file of a tree whose objects lie in the repo.
 *
 * @throws OsdeployError `not-found`, `damaged`; `limit-exceeded` for more than 64 MiB.
 */
export function readContent(repo: Repo, content: FileContent): Uint8Array {
  if (content.kind === "inline") return toBytes(content.bytes);
  assert(content.digest !== undefined, "every external file of a root image has a digest");
  return readObject(repo, parseObjectId(content.digest, repo.algorithm), contentLimitBytes);
}
