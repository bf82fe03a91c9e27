import {
  bootedDeployment,
  type Deployment,
  defaultDeployment,
  type SysrootState,
} from "../core/deployment/deployment.ts";
import type { ImageSource, ResolvedImage } from "../image-source/image-source.ts";
import { readRootImage } from "../repo/object-graph.ts";
import type { Repo } from "../repo/repo.ts";
import type { Sysroot } from "../sysroot/sysroot.ts";
import { deploymentTag } from "./deployment-tag.ts";
import { describePlan, type ImagePlan, type PlanBase } from "./plan-image.ts";
import { type BootPlan, planBoot } from "./planned-boot.ts";
import { type PrunePlan, planPrune } from "./planned-gc.ts";
import { planLayers } from "./planned-layers.ts";
import { asLookedAt, orUntold, type PlannedTree, planTree } from "./planned-tree.ts";
import { planOtherWrites } from "./planned-writes.ts";
import type { System } from "./system.ts";

/** What a deployment of an image costs a sysroot, and what it changes there. */
export interface DeploymentPlan extends ImagePlan {
  readonly boot: BootPlan;
  readonly prune: PrunePlan;
}

/** A sysroot and its repo, read and not to be changed. */
export interface PlannedSysroot {
  readonly repo: Repo;
  readonly sysroot: Sysroot;
  readonly state: SysrootState;
}

/**
 * Finds out what deploying an image would cost, compared with the deployment that it would replace: the one that runs, else the
 * one that boots next. Nothing is written; of layers no more is fetched than tables and package databases.
 */
export async function planDeployment(
  system: System,
  place: PlannedSysroot,
  { source, image }: { readonly source: ImageSource; readonly image: ResolvedImage },
): Promise<DeploymentPlan> {
  const { repo, state } = place;
  const planned = await planLayers(system, repo, { source, image });
  const tree = planTree(planned.layers);
  const base = deploymentBase(repo, bootedDeployment(state) ?? defaultDeployment(state));
  const boot = tree.kind === "known" ? planBoot(repo, place, tree.tree) : tree;
  const tag = deploymentTag(image.manifest.digest);
  const writes = planOtherWrites(repo, { image, planned, tree, bootable: true, tag });
  return {
    ...(await describePlan(repo, { source, planned, tree, base, writes })),
    boot,
    prune: planPrune(repo, place, { image, layers: planned.layers, writes, boot }),
  };
}

function deploymentBase(repo: Repo, deployment: Deployment | undefined): PlanBase | undefined {
  if (deployment === undefined) return undefined;
  const { origin, rootImage } = deployment;
  const read = (): PlannedTree => ({ kind: "known", tree: asLookedAt(readRootImage(repo, rootImage)) });
  const [image, manifestDigest] = [origin?.imageReference ?? null, origin?.manifestDigest ?? null];
  return { tree: orUntold(read), image, manifestDigest, rootImage };
}
