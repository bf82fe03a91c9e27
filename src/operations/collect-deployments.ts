import type { BootloaderKind } from "../bootloader/bootloader.ts";
import { listKernels, removeKernels } from "../bootloader/kernel-store.ts";
import { openBootloader } from "../bootloader/open-bootloader.ts";
import { bootEntryId } from "../core/boot/boot-menu.ts";
import { unusedKernels } from "../core/boot/kernel-files.ts";
import type { SysrootState } from "../core/deployment/deployment.ts";
import { type DeploymentGcPlan, planDeploymentGc } from "../core/deployment/plan-deployment-gc.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import type { Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";
import { collectGarbage } from "../repo/gc.ts";
import { listObjects } from "../repo/object-listing.ts";
import { listPartialLayers } from "../repo/partial-layer.ts";
import { type GcPlan, planGc } from "../repo/plan-gc.ts";
import { listTags, untagImage } from "../repo/references.ts";
import { type ExclusiveRepo, openRepo, type Repo } from "../repo/repo.ts";
import { imagesPath } from "../repo/repo-paths.ts";
import { listDeadStaging } from "../repo/staging-leftovers.ts";
import { beginCollection, endCollection, isCollecting, removeBootFailures } from "../sysroot/boot-records.ts";
import { removeStateDirectories } from "../sysroot/state-directory.ts";
import { openSysroot, type Sysroot } from "../sysroot/sysroot.ts";
import { checkCollectable } from "./boot-partition.ts";
import { withPaths } from "./collect-garbage.ts";
import { deploymentTag } from "./deployment-tag.ts";
import { openRepoInTurn } from "./in-turn.ts";
import { readSysrootState } from "./sysroot-state.ts";
import type { System } from "./system.ts";
import { warnOfLeftovers } from "./warn-of-leftovers.ts";
import { type WritableSystem, withWritableSystem } from "./writable-system.ts";

/** What was fetched of a layer and not gone on with for seven days is of an image that another has come after. */
const fetchedDaysMs = 7 * 24 * 60 * 60 * 1000;

export interface CollectDeploymentsRequest {
  readonly sysroot: Path;
  readonly bootloader?: BootloaderKind | undefined;
  /** How many deployments to keep besides those that are needed. */
  readonly keep: number;
  /** Whether to tell only what would go. */
  readonly dryRun: boolean;
  /**
   * Whether to leave the repo alone unless something goes, or a run before was stopped: at every boot, looking through the
   * whole repo to find nothing costs more than it is worth. What was fetched of layers in the last days stays then, too: whoever
   * was stopped goes on from there.
   */
  readonly whenNeeded: boolean;
}

export interface CollectDeploymentsResult {
  readonly dryRun: boolean;
  /** Names of the boot entries that went. */
  readonly bootEntries: readonly string[];
  readonly deployments: readonly { readonly rootImage: ObjectId; readonly image: string | null }[];
  /** Boot digests of the kernels that went from the boot partition. */
  readonly kernels: readonly string[];
  /** Tags that kept the images of deployments. */
  readonly tags: readonly string[];
  readonly keptDeployments: readonly ObjectId[];
  /** What went from the repo. */
  readonly repo: GcPlan;
}

/**
 * Takes deployments away that are no longer needed, and then what only they needed, in reverse order of reference: boot
 * entries, state directories, kernels, tags, and the repo's garbage. Killed at any point it leaves a machine that boots as
 * before, and run again it goes on.
 *
 * @throws OsdeployError `not-found` where no boot entry starts any deployment: nothing tells which of them are needed.
 */
export async function collectDeployments(
  system: System,
  request: CollectDeploymentsRequest,
): Promise<CollectDeploymentsResult> {
  if (request.dryRun) return planOnly(system, request);
  return await withWritableSystem(system, { ...request, wait: true }, async (writable) => {
    checkCollectable(writable.sysroot, writable.state);
    system.progress({ kind: "phase", phase: "sweep" });
    const plan = planDeploymentGc(writable.state, request);
    const { files, paths } = writable.sysroot;
    const usersPathOf = (path: Path) => writable.sysroot.usersPath(path);
    // After the sysroot's lock, as everywhere: whoever holds both took them in this order.
    const repo = await openRepoInTurn(system, paths.repo, "exclusive");
    try {
      const tags = unneededTags(repo, plan);
      const kernels = unneededKernels(writable.sysroot, writable.state, plan);
      const found = { dryRun: false, ...describe(plan), kernels, tags };
      const keepFetchedSince = fetchedSince(system, request);
      if (request.whenNeeded && isIdle(repo, writable, found)) {
        return { ...found, repo: withPaths(collectFetched(repo, keepFetchedSince), usersPathOf) };
      }
      beginCollection(files, paths);
      removeDeployments(system, writable, plan, kernels);
      for (const tag of tags) untagImage(repo, tag);
      const options = { keepImages: neededImages(repo, writable.state, plan), keepFetchedSince };
      const collected = collectGarbage(repo, options);
      endCollection(files, paths);
      return { ...found, repo: withPaths(collected, usersPathOf) };
    } finally {
      repo.close();
    }
  });
}

/** Whether `gc --when-needed` would find something to take away. Looks at names only, not through the repo. */
export function isCollectionNeeded(
  system: System,
  request: Pick<CollectDeploymentsRequest, "sysroot" | "bootloader">,
): boolean {
  const { sysroot, state } = readState(system, request);
  const { paths } = sysroot;
  const repo = openRepo(system.linux, paths.repo, { access: "read", wait: true });
  try {
    const plan = planDeploymentGc(state, { keep: 0 });
    const found = {
      ...describe(plan),
      kernels: unneededKernels(sysroot, state, plan),
      tags: unneededTags(repo, plan),
    };
    if (!isIdle(repo, { sysroot }, found)) return true;
    return listPartialLayers(repo.files, repo.path, { before: oldFetched(system) }).length > 0;
  } finally {
    repo.close();
  }
}

/** What was fetched before goes: all of it, unless only what is needed is done. */
function fetchedSince(system: System, { whenNeeded }: CollectDeploymentsRequest): number {
  return whenNeeded ? oldFetched(system) : Number.POSITIVE_INFINITY;
}

function oldFetched({ linux }: System): number {
  return linux.clock.now() - fetchedDaysMs;
}

/** Of a sysroot that is only looked at. */
function readState(
  { linux }: System,
  request: Pick<CollectDeploymentsRequest, "sysroot" | "bootloader">,
): { readonly sysroot: Sysroot; readonly state: SysrootState } {
  const sysroot = openSysroot(linux.files, request.sysroot);
  const bootloader = openBootloader(sysroot.files, { boot: sysroot.paths.boot, kind: request.bootloader });
  const state = readSysrootState(sysroot, bootloader.readMenu());
  checkCollectable(sysroot, state);
  return { sysroot, state };
}

function planOnly(system: System, request: CollectDeploymentsRequest): CollectDeploymentsResult {
  const { sysroot, state } = readState(system, request);
  const plan = planDeploymentGc(state, request);
  const repo = openRepo(system.linux, sysroot.paths.repo, { access: "read", wait: true });
  try {
    const tags = unneededTags(repo, plan);
    const kept = { keepImages: neededImages(repo, state, plan), keepFetchedSince: fetchedSince(system, request) };
    const garbage = planGc(repo, { ...kept, withoutTags: new Set(tags) });
    return { dryRun: true, ...describe(plan), kernels: unneededKernels(sysroot, state, plan), tags, repo: garbage };
  } finally {
    repo.close();
  }
}

/** Whether nothing is to go, and no run was stopped before all was gone. */
function isIdle(
  repo: Repo,
  { sysroot }: { readonly sysroot: Sysroot },
  found: Pick<CollectDeploymentsResult, "bootEntries" | "deployments" | "kernels" | "tags">,
): boolean {
  const { bootEntries, deployments, kernels, tags } = found;
  if (bootEntries.length + deployments.length + kernels.length + tags.length > 0) return false;
  return !isCollecting(sysroot.files, sysroot.paths) && listDeadStaging(repo.files, repo.path).length === 0;
}

/** Takes away only what nobody has gone on with for long. */
function collectFetched({ algorithm, files, path }: ExclusiveRepo, before: number): GcPlan {
  const keptObjects = listObjects(files, path, algorithm).ids.size;
  const leftovers = listPartialLayers(files, path, { before });
  for (const each of leftovers) removeTree(files, each);
  const none = { danglingReferences: [], links: [], objects: [], strays: [], missingImages: [] };
  return { ...none, leftovers, objectBytes: 0, keptObjects };
}

function removeDeployments(
  system: System,
  { sysroot, bootloader, state }: WritableSystem,
  plan: DeploymentGcPlan,
  kernels: readonly string[],
): void {
  const { files, paths } = sysroot;
  // Also when none goes: what a crash left of a menu that is made from the entries is cleared away.
  bootloader.removeEntries(plan.entries);
  const rootImages = plan.deployments.map(({ rootImage }) => rootImage);
  const leftovers = removeStateDirectories(files, paths, rootImages, () => system.linux.clock.randomName());
  warnOfLeftovers(
    system,
    leftovers.map((error) => sysroot.inUsersWords(error)),
  );
  removeKernels(files, paths.boot, kernels);
  const kept = state.menu.entries.filter((entry) => !plan.entries.includes(entry));
  removeBootFailures(files, paths, new Set(kept.map(({ sequence }) => bootEntryId(sequence))));
}

/** Kernels that no entry names any more, of ours or of others, but for the one of what is staged. */
export function unneededKernels(
  { files, paths }: Pick<Sysroot, "files" | "paths">,
  { menu, staged, heldByOthers }: SysrootState,
  plan: DeploymentGcPlan,
): readonly string[] {
  const entries = menu.entries.filter((entry) => !plan.entries.includes(entry));
  const unused = unusedKernels(listKernels(files, paths.boot), entries, heldByOthers);
  return unused.filter((each) => each !== staged?.origin.bootDigest);
}

/** Tags that were only there for deployments; bootc's have the same form, and its deployments are among those kept. */
export function unneededTags(repo: Repo, { manifests }: DeploymentGcPlan): readonly string[] {
  const needed = new Set([...manifests].map(deploymentTag));
  return listTags(repo).flatMap(({ tag, manifest }) =>
    tag === deploymentTag(manifest) && !needed.has(tag) ? [tag] : [],
  );
}

/** The root images that the repo keeps: also of what is staged and of others' entries where the state directory is gone. */
export function neededImages(
  repo: Repo,
  { heldByOthers, staged }: SysrootState,
  plan: DeploymentGcPlan,
): readonly ObjectId[] {
  const isThere = (id: ObjectId) => repo.files.lstatIfExists(pathBelow(imagesPath(repo.path), id)) !== undefined;
  const others = [...heldByOthers, ...(staged === undefined ? [] : [staged.rootImage])].filter(isThere);
  return [...new Set([...keptImages(plan), ...others])];
}

function keptImages({ kept }: DeploymentGcPlan): readonly ObjectId[] {
  return kept.map(({ rootImage }) => rootImage);
}

function describe(
  plan: DeploymentGcPlan,
): Pick<CollectDeploymentsResult, "bootEntries" | "deployments" | "keptDeployments"> {
  return {
    bootEntries: plan.entries.map(({ fileName }) => fileName),
    deployments: plan.deployments.map(({ rootImage, origin }) => ({
      rootImage,
      image: origin?.imageReference ?? null,
    })),
    keptDeployments: keptImages(plan),
  };
}
