import type { Bootloader, BootloaderKind } from "../bootloader/bootloader.ts";
import { openBootloader } from "../bootloader/open-bootloader.ts";
import { blsField, blsOptions, imageVersion } from "../core/boot/bls-entry.ts";
import { type BootEntry, type BootMenu, isExhausted } from "../core/boot/boot-menu.ts";
import { toText } from "../core/bytes/byte-string.ts";
import {
  type Deployment,
  type DeploymentRole,
  defaultDeployment,
  deploymentRoles,
  findDeployment,
  hasLostKernel,
  isRollbackQueued,
  lostStaged,
  nextEntry,
  type SysrootState,
  startedEntry,
} from "../core/deployment/deployment.ts";
import { statusSchemaVersion } from "../core/deployment/host-status.ts";
import { findQuarantine } from "../core/deployment/plan-switch.ts";
import type { QuarantineRecord } from "../core/deployment/quarantine.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import { showPath } from "../linux/errno.ts";
import type { Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { lockHolder } from "../sysroot/lock-holder.ts";
import { listUnfinished } from "../sysroot/state-directory.ts";
import { openSysroot, type Sysroot } from "../sysroot/sysroot.ts";
import { bootPartitionProblem } from "./boot-partition.ts";
import { type HeldLayer, heldLayersReader } from "./held-layers.ts";
import { readSysrootState } from "./sysroot-state.ts";
import type { System } from "./system.ts";

export interface StatusRequest {
  readonly sysroot: Path;
}

/** A boot entry of a deployment. */
export interface BootEntryStatus {
  readonly name: string;
  /** How often the loader may still start it before it gives it up; null for one that proved good, or is not counted. */
  readonly triesLeft: number | null;
  readonly triesDone: number | null;
  /** Whether it started the running system. */
  readonly booted: boolean;
}

/** One deployment, as `status` shows it. */
export interface DeploymentStatus {
  /** Empty for one that is only still there. */
  readonly roles: readonly DeploymentRole[];
  readonly rootImage: ObjectId;
  /** What the boot menu calls it; null when no boot entry starts it. */
  readonly title: string | null;
  readonly version: string | null;
  /** What it follows; null when its origin cannot be read. */
  readonly imageReference: string | null;
  readonly manifestDigest: string | null;
  /** The layers of its image that the repo has whole, lowest first; null when the repo cannot tell. */
  readonly layers: readonly HeldLayer[] | null;
  readonly bootDigest: string | null;
  /** The keys and certificates that its signatures were checked with; empty where none was asked for. */
  readonly verifiedBy: readonly string[];
  /** Where its image promised digests that turned out true; empty where nothing was promised. */
  readonly sealedBy: readonly string[];
  /** Whether the kernel refuses files that are not as they should be; null where no boot entry tells. */
  readonly verity: "required" | "optional" | null;
  /** The kernel arguments: of what is staged, its newest boot entry, or as they were kept; null where nothing tells. */
  readonly kernelArguments: string | null;
  /** Newest first. */
  readonly bootEntries: readonly BootEntryStatus[];
  /** Why its image is in quarantine; null where it is not. */
  readonly quarantineReason: string | null;
}

/** What was staged, and is no longer, without having been committed or dropped. */
export interface LostStaged {
  readonly imageReference: string;
  readonly manifestDigest: string;
  /** Whether it was only downloaded, to be staged later. */
  readonly finalizationLocked: boolean;
  /** What stages, or downloads, it again. */
  readonly command: string;
}

export interface StatusResult {
  /** Rises when a reader of the one before would misread it. */
  readonly schemaVersion: number;
  readonly sysroot: string;
  readonly bootloader: BootloaderKind;
  /** Whether the loader gives a deployment up by itself that does not boot. */
  readonly countsTries: boolean;
  /** The root image that this machine runs from; null when it does not run from this sysroot. */
  readonly booted: ObjectId | null;
  /** Whether a rollback waits for the next boot. */
  readonly rollbackQueued: boolean;
  /** What gets its boot entry at shutdown; with `finalizationLocked` not before it is asked for again. */
  readonly staged: { readonly rootImage: ObjectId; readonly finalizationLocked: boolean } | null;
  /** What a reboot took away that was staged, or only downloaded; null where nothing is to be told. */
  readonly lostStaged: LostStaged | null;
  /** What boots next first. */
  readonly deployments: readonly DeploymentStatus[];
  readonly quarantine: readonly QuarantineRecord[];
  /** Boot entries of other programs, left alone. */
  readonly foreignBootEntries: readonly string[];
  /** What is not as it should be; whole sentences. */
  readonly problems: readonly string[];
}

/** Tells which deployments a sysroot has and what each is. Damaged and foreign parts are named, and never break it. */
export async function status(system: System, request: StatusRequest): Promise<StatusResult> {
  const sysroot = openSysroot(system.linux.files, request.sysroot);
  const bootloader = openBootloader(sysroot.files, { boot: sysroot.paths.boot });
  const { menu, damage } = readMenu(bootloader);
  const state = readSysrootState(sysroot, menu);
  const { booted, staged, quarantine } = state;
  const problem = damage.length > 0 ? undefined : bootPartitionProblem(sysroot, state);
  const partition = problem === undefined ? [...lostKernelProblems(state), ...lostImageProblems(state)] : [problem];
  const readLayers = heldLayersReader(system.linux, sysroot.paths.repo);
  return {
    schemaVersion: statusSchemaVersion,
    sysroot: toText(request.sysroot),
    bootloader: bootloader.kind,
    countsTries: bootloader.countsTries,
    booted: booted?.rootImage ?? null,
    rollbackQueued: isRollbackQueued(state),
    staged:
      staged === undefined ? null : { rootImage: staged.rootImage, finalizationLocked: staged.finalizationLocked },
    lostStaged: describeLost(state),
    deployments: [...state.deployments].sort(byRank(state)).map((each) => describe(state, each, readLayers)),
    quarantine,
    foreignBootEntries: menu.foreign,
    problems: [...damage, ...findProblems(state), ...partition, ...findLeftovers(sysroot)],
  };
}

function describeLost(state: SysrootState): LostStaged | null {
  const lost = lostStaged(state);
  if (lost === undefined) return null;
  const { imageReference, manifestDigest, finalizationLocked } = lost;
  const isFollowed = defaultDeployment(state)?.origin?.imageReference === imageReference;
  const upgrade = finalizationLocked ? "upgrade --download-only" : "upgrade";
  const verb = isFollowed ? upgrade : `switch ${imageReference}`;
  return { imageReference, manifestDigest, finalizationLocked, command: `osdeploy ${verb}` };
}

/** Nothing on the boot partition may keep the rest from being shown. */
function readMenu(bootloader: Bootloader): { readonly menu: BootMenu; readonly damage: readonly string[] } {
  try {
    return { menu: bootloader.readMenu(), damage: [] };
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    const none: BootMenu = { entries: [], stale: [], foreign: [] };
    return { menu: none, damage: [`The boot menu cannot be read: ${error.message}`] };
  }
}

/** What is staged boots before the default, and what boots at all before what does not. */
function byRank(state: SysrootState): (a: Deployment, b: Deployment) => number {
  const next = nextEntry(state)?.rootImage;
  const rank = ({ rootImage }: Deployment) => (rootImage === state.staged?.rootImage ? 0 : rootImage === next ? 1 : 2);
  return (a, b) => rank(a) - rank(b);
}

function describe(
  state: SysrootState,
  deployment: Deployment,
  readLayers: ReturnType<typeof heldLayersReader>,
): DeploymentStatus {
  const { rootImage, entries } = deployment;
  const staged = state.staged?.rootImage === rootImage ? state.staged : undefined;
  const origin = staged?.origin ?? deployment.origin;
  const entry = entries[0]?.entry;
  const options = staged?.boot.options ?? (entry && blsOptions(entry));
  return {
    roles: deploymentRoles(state, deployment),
    rootImage,
    title: staged?.boot.osRelease.prettyName ?? (entry && blsField(entry, "title")) ?? null,
    version: staged?.boot.osRelease.version ?? (entry && imageVersion(entry)) ?? null,
    imageReference: origin?.imageReference ?? null,
    manifestDigest: origin?.manifestDigest ?? null,
    layers: origin === undefined ? null : readLayers(origin.manifestDigest),
    bootDigest: origin?.bootDigest ?? null,
    verifiedBy: origin?.verifiedBy ?? [],
    sealedBy: origin?.sealedBy ?? [],
    verity: options === undefined ? null : /(^| )composefs=\?/.test(options) ? "optional" : "required",
    kernelArguments: options ?? deployment.kernelArguments ?? null,
    bootEntries: entries.map((each) => describeEntry(state, each)),
    quarantineReason: findQuarantine(state, origin?.manifestDigest)?.reason ?? null,
  };
}

function describeEntry(state: SysrootState, entry: BootEntry): BootEntryStatus {
  const { fileName, tries } = entry;
  return {
    name: fileName,
    triesLeft: tries?.left ?? null,
    triesDone: tries?.done ?? null,
    booted: entry === startedEntry(state),
  };
}

/** Whether the image of an entry that was given up is in quarantine: that tells more. */
function isJudged(state: SysrootState, { rootImage }: BootEntry): boolean {
  return findQuarantine(state, findDeployment(state, rootImage)?.origin?.manifestDigest) !== undefined;
}

function findProblems(state: SysrootState): readonly string[] {
  const { deployments, orphans, menu, staged, problems } = state;
  const found = [
    ...problems,
    ...orphans.map(
      ({ fileName, rootImage }) => `Boot entry ${fileName} names root image ${rootImage}, which has no deployment`,
    ),
    ...menu.stale.map(
      (name) => `Boot entry file ${name} does not count: it was never finished, or another took its place`,
    ),
    ...deployments
      .filter(({ origin }) => origin === undefined)
      .map(({ rootImage }) => `Deployment ${rootImage} has no origin that can be read, so it cannot be upgraded`),
    ...menu.entries
      .filter((entry) => isExhausted(entry) && !isJudged(state, entry))
      .map(({ fileName }) => `Boot entry ${fileName} was given up: none of its boots was good`),
  ];
  if (staged !== undefined && findDeployment(state, staged.rootImage) === undefined) {
    found.push(
      `Root image ${staged.rootImage} is staged, and its state directory is gone: it is made again at shutdown`,
    );
  }
  return found;
}

/** What nobody is making or removing just now is from a run that was stopped, or cannot be removed. */
function findLeftovers({ files, paths }: Sysroot): readonly string[] {
  const state = files.lstatIfExists(pathBelow(paths.root, "state"));
  const found = listUnfinished(files, paths);
  if (state === undefined || found.length === 0 || lockHolder(files, state) !== undefined) return [];
  return found.map(
    (path) => `${showPath(path)} is left of an earlier run: the next change of the sysroot tries to remove it`,
  );
}

function lostImageProblems(state: SysrootState): readonly string[] {
  const { menu, lostRootImages, orphans } = state;
  const next = nextEntry(state);
  return menu.entries
    .filter((entry) => lostRootImages.has(entry.rootImage) && !orphans.includes(entry))
    .map((entry) => {
      const way = entry === next ? "; upgrade or switch brings it again" : "";
      return `The root image of boot entry ${entry.fileName} is not in the repo, so it does not boot${way}`;
    });
}

function lostKernelProblems(state: SysrootState): readonly string[] {
  const { menu, staged, lostKernels } = state;
  const next = nextEntry(state);
  const sentences = menu.entries
    .filter((entry) => hasLostKernel(state, entry))
    .map((entry) => {
      const way = entry === next ? "; upgrade or switch stores it again" : "";
      return `The kernel of boot entry ${entry.fileName} is not on the boot partition, so it does not boot${way}`;
    });
  if (staged === undefined || !lostKernels.has(staged.origin.bootDigest)) return sentences;
  const { bootDigest } = staged.origin;
  return [
    ...sentences,
    `The kernel ${bootDigest} of what is staged is not on the boot partition; upgrade stores it again`,
  ];
}
