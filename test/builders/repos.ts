import { fromText } from "../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import type { ObjectId } from "../../src/core/digest/object-id.ts";
import type { Path } from "../../src/linux/linux.ts";
import { defaultInitOptions, type InitOptions, initRepo } from "../../src/repo/init-repo.ts";
import type { NamingReport } from "../../src/repo/name-objects.ts";
import { ObjectStaging } from "../../src/repo/object-staging.ts";
import { type Publication, publish } from "../../src/repo/publish.ts";
import { openRepo, type Repo, type RepoAccess, type WritableRepo } from "../../src/repo/repo.ts";
import { StagingRun } from "../../src/repo/staging-run.ts";
import type { RepoLinux } from "../../src/repo/temporary-name.ts";

/** Where the repos of tests are on a fake machine. */
export const repoPath: Path = fromText("/repo");

/** The two modes of a repo, for `describe.each`. */
export const modes = [
  { mode: "secure", secure: true },
  { mode: "insecure", secure: false },
] as const;

/** Content of `sizeBytes` that is the same each time, and other for another `seed`. */
export function content(sizeBytes: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_, i) => (i * 31 + 7 + seed * 101 + (i >> 8)) & 0xff);
}

/** The sha512 name of some bytes. */
export function idOf(bytes: Uint8Array): ObjectId {
  return verityDigest("sha512", bytes);
}

/** Makes a repo on `linux`. */
export function makeRepo(linux: RepoLinux, options: Partial<InitOptions> = {}): void {
  initRepo(linux, repoPath, { ...defaultInitOptions, ...options });
}

/** Opens the repo for the time of `use`. */
export function withRepo<Access extends RepoAccess, T>(
  linux: RepoLinux,
  access: Access,
  use: (repo: Repo<Access>) => T,
): T {
  const repo = openRepo(linux, repoPath, { access, wait: false });
  try {
    return use(repo);
  } finally {
    repo.close();
  }
}

/** Stages with `fill` and publishes what it staged, with the names it asks for. */
export function stageAndPublish(
  repo: WritableRepo,
  fill: (staging: ObjectStaging) => Partial<Omit<Publication, "objects">> | undefined,
): NamingReport {
  const run = new StagingRun(repo);
  try {
    const staging = new ObjectStaging(repo.files, run.newStagingOptions());
    const names = fill(staging);
    return publish(repo, { streams: [], rootImages: [], ...names, objects: staging.take() });
  } finally {
    run.close();
  }
}
