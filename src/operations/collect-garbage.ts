import type { Path } from "../linux/linux.ts";
import { collectGarbage as collect } from "../repo/gc.ts";
import { type GcPlan, planGc } from "../repo/plan-gc.ts";
import { openRepo } from "../repo/repo.ts";
import { deployedImages } from "./deployed-images.ts";
import type { System } from "./system.ts";
import { withWritableRepo } from "./writable-repo.ts";

export interface CollectGarbageRequest {
  readonly repo: Path;
  /** Whether to tell only what would go. */
  readonly dryRun: boolean;
}

export interface CollectGarbageResult extends GcPlan {
  readonly dryRun: boolean;
}

/** Takes away what no tag, reference or deployment reaches. Deployments are those of the repo's sysroot. */
export async function collectGarbage(system: System, request: CollectGarbageRequest): Promise<CollectGarbageResult> {
  system.progress({ kind: "phase", phase: request.dryRun ? "mark" : "sweep" });
  if (request.dryRun) {
    const repo = openRepo(system.linux, request.repo, { access: "read", wait: true });
    try {
      return { ...planGc(repo, { keepImages: deployedImages(repo.files, repo.path) }), dryRun: true };
    } finally {
      repo.close();
    }
  }
  return await withWritableRepo(system, { path: request.repo, access: "exclusive" }, (repo, usersPathOf) => {
    const plan = collect(repo, { keepImages: deployedImages(repo.files, repo.path) });
    return { ...withPaths(plan, usersPathOf), dryRun: false };
  });
}

/** The same collection with all its paths turned into others. */
export function withPaths(plan: GcPlan, pathOf: (path: Path) => Path): GcPlan {
  return {
    ...plan,
    danglingReferences: plan.danglingReferences.map(pathOf),
    links: plan.links.map(pathOf),
    leftovers: plan.leftovers.map(pathOf),
    strays: plan.strays.map(pathOf),
  };
}
