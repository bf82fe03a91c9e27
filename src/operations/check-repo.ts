import type { Path } from "../linux/linux.ts";
import { checkRepo as check } from "../repo/fsck.ts";
import type { FsckReport } from "../repo/fsck-report.ts";
import { openRepo } from "../repo/repo.ts";
import { deployedImages } from "./deployed-images.ts";
import type { System } from "./system.ts";

export interface CheckRepoRequest {
  readonly repo: Path;
  /** Whether to skip reading every object's bytes. */
  readonly metadataOnly: boolean;
}

/** Reads the whole repo, or all but its objects, and tells what is wrong, and which images that hits. Changes nothing. */
export async function checkRepo(system: System, request: CheckRepoRequest): Promise<FsckReport> {
  system.progress({ kind: "phase", phase: request.metadataOnly ? "check-metadata" : "check-objects" });
  const repo = openRepo(system.linux, request.repo, { access: "read", wait: true });
  try {
    const deployed = deployedImages(repo.files, repo.path);
    const deployments = new Map(deployed.map((rootImage) => [`deployment ${rootImage}`, rootImage]));
    return check(repo, { metadataOnly: request.metadataOnly, deployments });
  } finally {
    repo.close();
  }
}
