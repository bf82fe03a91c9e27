import { toText } from "../core/bytes/byte-string.ts";
import type { VerityAlgorithm } from "../core/digest/object-id.ts";
import type { Path } from "../linux/linux.ts";
import { listObjects, readDirectoryIfExists } from "../repo/object-listing.ts";
import { listTags } from "../repo/references.ts";
import { openRepo } from "../repo/repo.ts";
import { imagesPath, objectPath, streamsPath } from "../repo/repo-paths.ts";
import type { System } from "./system.ts";

export interface RepoInfoRequest {
  readonly repo: Path;
}

export interface RepoInfoResult {
  readonly path: string;
  readonly algorithm: VerityAlgorithm;
  /** Whether every object is sealed with fs-verity. */
  readonly secure: boolean;
  readonly erofsFormat: number;
  readonly tags: number;
  readonly rootImages: number;
  readonly streams: number;
  readonly objects: number;
  /** Sum of the objects' sizes. */
  readonly objectBytes: number;
}

/** Tells what a repo is and how much is in it. */
export async function repoInfo(system: System, request: RepoInfoRequest): Promise<RepoInfoResult> {
  const repo = openRepo(system.linux, request.repo, { access: "read", wait: true });
  const { files } = repo;
  try {
    const { ids } = listObjects(files, repo.path, repo.algorithm);
    const count = (directory: Path) => readDirectoryIfExists(files, directory).filter((name) => name !== "refs").length;
    return {
      path: toText(repo.path),
      algorithm: repo.algorithm,
      secure: repo.secure,
      erofsFormat: repo.meta.erofsFormats.default,
      tags: listTags(repo).length,
      rootImages: count(imagesPath(repo.path)),
      streams: count(streamsPath(repo.path)),
      objects: ids.size,
      objectBytes: [...ids].reduce((sum, id) => sum + files.lstat(objectPath(repo.path, id)).sizeBytes, 0),
    };
  } finally {
    repo.close();
  }
}
