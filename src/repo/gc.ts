import { removeTree } from "../linux/remove-tree.ts";
import { removeStaleIndexes } from "./content-index.ts";
import { type GcOptions, type GcPlan, planGc } from "./plan-gc.ts";
import type { ExclusiveRepo } from "./repo.ts";
import { objectPath } from "./repo-paths.ts";

/**
 * Takes away what {@link planGc} finds, and says what it was. Planned and performed under one lock: a plan made under
 * another could name an object that somebody has begun to rely on meanwhile.
 *
 * Names go before what they refer to, and are durably gone before the first object is: a crash leaves garbage, never a
 * name that reaches nothing.
 *
 * @throws OsdeployError `damaged` when something that is to be kept cannot be read; nothing was taken away then.
 */
export function collectGarbage(repo: ExclusiveRepo, options: GcOptions): GcPlan {
  const plan = planGc(repo, options);
  const names = [...plan.danglingReferences, ...plan.links];
  for (const path of names) repo.files.unlink(path);
  if (names.length > 0) repo.sync();
  for (const { id } of plan.objects) repo.files.unlink(objectPath(repo.path, id));
  for (const path of plan.leftovers) removeTree(repo.files, path);
  removeStaleIndexes(repo);
  return plan;
}
