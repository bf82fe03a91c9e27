import { type BootEntry, type BootMenu, bootEntryId, defaultEntry, isExhausted } from "../boot/boot-menu.ts";
import { bootDigestOfEntry } from "../boot/kernel-files.ts";
import type { OsRelease } from "../boot/os-release.ts";
import type { ObjectId } from "../digest/object-id.ts";
import type { ManifestDigest } from "../digest/oci-digest.ts";
import type { BootedRoot } from "./booted-root.ts";
import type { QuarantineRecord } from "./quarantine.ts";
import { isSettled, type StagedNote } from "./staged-note.ts";

/** What a deployment follows, and what it was made from. */
export interface Origin {
  /** The image's reference with its transport, as skopeo writes it: `docker://quay.io/os:latest`. */
  readonly imageReference: string;
  readonly manifestDigest: ManifestDigest;
  /** sha256 over kernel and initramfs, lower-case hex: names what is shared on the boot partition. */
  readonly bootDigest: string;
  /** The keys and certificates by which its signature policy took the image; empty where none was asked for. */
  readonly verifiedBy: readonly string[];
  /** Where its image promised digests that were found to be true when it was deployed; empty where nothing was promised. */
  readonly sealedBy: readonly string[];
}

/** One bootable system on disk: its state directory, and the boot entries that start it, newest first. */
export interface Deployment {
  readonly rootImage: ObjectId;
  /** Undefined when the origin file is missing or cannot be read; `status` says so. */
  readonly origin: Origin | undefined;
  readonly entries: readonly BootEntry[];
  /** Those of its newest boot entry, as they were kept beside the origin; undefined where they were not. */
  readonly kernelArguments: string | undefined;
}

/** A deployment that is to get its boot entry at shutdown: all of it is on disk but the last /etc merge and the entry. */
export interface StagedDeployment {
  readonly rootImage: ObjectId;
  readonly origin: Origin;
  /** What its boot entry is going to say. */
  readonly boot: {
    readonly osRelease: OsRelease;
    readonly kernelPath: string;
    readonly initramfsPath: string;
    readonly options: string;
  };
  /**
   * The number of the next boot entry when this was staged. An entry of this root image that has this number or a higher one
   * is this deployment, committed; one of another root image has overtaken it, and it is not staged any more.
   */
  readonly sequence: number;
  /** Whether it is held back: only fetched, and left alone at shutdown. */
  readonly finalizationLocked: boolean;
}

/** All deployments of a sysroot, read once at the start of an operation. */
export interface SysrootState {
  readonly deployments: readonly Deployment[];
  readonly menu: BootMenu;
  /** Boot entries of ours whose state directory is gone. */
  readonly orphans: readonly BootEntry[];
  /** Undefined for a sysroot that this machine does not run from. */
  readonly booted: BootedRoot | undefined;
  readonly staged: StagedDeployment | undefined;
  /** What was staged last, as it is remembered over a reboot. */
  readonly stagedNote: StagedNote | undefined;
  /** Manifests that failed, in the order of their digests. */
  readonly quarantine: readonly QuarantineRecord[];
  /** Root images that boot entries of other programs start, and digests of kernels there; neither is ours to remove. */
  readonly heldByOthers: ReadonlySet<ObjectId>;
  /** The numbers of entries that were given up because the initramfs found their root image damaged. */
  readonly damagedEntries: ReadonlySet<number>;
  /** Boot digests of kernels that entries of ours or what is staged need, and that are not on the boot partition. */
  readonly lostKernels: ReadonlySet<string>;
  /** Root images that entries of ours start, and that are not in the repo. */
  readonly lostRootImages: ReadonlySet<ObjectId>;
  /** What could not be read, or was noted to be told; whole sentences without period. */
  readonly problems: readonly string[];
}

/** What a {@link SysrootState} is put together from; what a sysroot at rest does not have can be left out. */
export interface SysrootParts {
  readonly directories: readonly (Pick<Deployment, "rootImage" | "origin"> &
    Partial<Pick<Deployment, "kernelArguments">>)[];
  readonly menu: BootMenu;
  readonly booted?: BootedRoot | undefined;
  readonly staged?: StagedDeployment | undefined;
  readonly stagedNote?: StagedNote | undefined;
  readonly quarantine?: readonly QuarantineRecord[];
  readonly heldByOthers?: ReadonlySet<ObjectId>;
  readonly damagedEntries?: ReadonlySet<number>;
  readonly lostKernels?: ReadonlySet<string>;
  readonly lostRootImages?: ReadonlySet<ObjectId>;
  readonly problems?: readonly string[];
}

/** Puts together what the state directories, the boot menu and the running system say. Deployments come newest entry first. */
export function makeSysrootState(parts: SysrootParts): SysrootState {
  const { directories, menu, booted, staged: marked, stagedNote, quarantine = [], problems = [] } = parts;
  const staged = marked === undefined || isOvertaken(marked, menu) ? undefined : marked;
  const deployments = directories.map(({ rootImage, origin, kernelArguments }) => ({
    rootImage,
    origin,
    kernelArguments,
    entries: menu.entries.filter((entry) => entry.rootImage === rootImage),
  }));
  const known = new Set(directories.map(({ rootImage }) => rootImage));
  return {
    deployments: deployments.sort(newestFirst),
    menu,
    orphans: menu.entries.filter(({ rootImage }) => !known.has(rootImage)),
    booted,
    staged,
    stagedNote,
    quarantine,
    heldByOthers: parts.heldByOthers ?? new Set(),
    damagedEntries: parts.damagedEntries ?? new Set(),
    lostKernels: parts.lostKernels ?? new Set(),
    lostRootImages: parts.lostRootImages ?? new Set(),
    problems,
  };
}

/** What was staged before a reboot, and neither committed nor dropped. */
export function lostStaged({ staged, stagedNote, menu }: SysrootState): StagedNote | undefined {
  // A menu without entries is that of another boot partition, or of none: it does not tell.
  if (staged !== undefined || stagedNote === undefined || menu.entries.length === 0) return undefined;
  return isSettled(stagedNote, menu) ? undefined : stagedNote;
}

/**
 * Whether an entry of another root image came after it was staged: a rollback's, which drops what is staged and was stopped
 * before it did.
 */
function isOvertaken({ rootImage, sequence }: StagedDeployment, { entries }: BootMenu): boolean {
  return entries.some((entry) => entry.sequence >= sequence && entry.rootImage !== rootImage);
}

function newestFirst(a: Deployment, b: Deployment): number {
  const bySequence = (b.entries[0]?.sequence ?? 0) - (a.entries[0]?.sequence ?? 0);
  return bySequence !== 0 ? bySequence : a.rootImage < b.rootImage ? -1 : 1;
}

/** The deployment of a root image. */
export function findDeployment(state: SysrootState, rootImage: ObjectId | undefined): Deployment | undefined {
  return state.deployments.find((deployment) => deployment.rootImage === rootImage);
}

/** The deployment that the machine runs from. */
export function bootedDeployment(state: SysrootState): Deployment | undefined {
  return findDeployment(state, state.booted?.rootImage);
}

/** The boot entry that a loader started what runs by; undefined after a soft reboot, and by another program's entry. */
export function startedEntry(state: SysrootState): BootEntry | undefined {
  const entries = bootedDeployment(state)?.entries ?? [];
  return entries.find(({ sequence }) => bootEntryId(sequence) === state.booted?.entryId);
}

/** The boot entry that stands for what runs: what started it, or else the newest of its deployment. */
export function bootedEntry(state: SysrootState): BootEntry | undefined {
  return startedEntry(state) ?? bootedDeployment(state)?.entries[0];
}

/** The boot entry that starts the machine next: the newest that has not been given up and has a deployment. */
export function nextEntry(state: SysrootState): BootEntry | undefined {
  const entries = state.menu.entries.filter((entry) => !state.orphans.includes(entry));
  return defaultEntry({ ...state.menu, entries });
}

/** Whether the loader would not find the kernel that an entry names. One of another program's is not known of. */
export function hasLostKernel({ lostKernels }: SysrootState, entry: Pick<BootEntry, "entry">): boolean {
  const bootDigest = bootDigestOfEntry(entry);
  return bootDigest !== undefined && lostKernels.has(bootDigest);
}

/** Whether an entry of anybody's starts a deployment: ours, or another program's. */
export function hasEntry({ heldByOthers }: Pick<SysrootState, "heldByOthers">, deployment: Deployment): boolean {
  return deployment.entries.length > 0 || heldByOthers.has(deployment.rootImage);
}

/** The deployment that boots next. What is staged comes before it, but only at shutdown. */
export function defaultDeployment(state: SysrootState): Deployment | undefined {
  return findDeployment(state, nextEntry(state)?.rootImage);
}

/** Another deployment than the default that can boot, and the newest entry of it that the loader has not given up. */
export interface WayBack {
  readonly deployment: Deployment;
  readonly entry: BootEntry;
}

/** The way back from the default deployment: the newest entry of another one that has not been given up. */
export function wayBack(state: SysrootState): WayBack | undefined {
  const next = nextEntry(state);
  const entry = state.menu.entries.find(
    (each) =>
      !isExhausted(each) && each.rootImage !== next?.rootImage && findDeployment(state, each.rootImage) !== undefined,
  );
  const deployment = findDeployment(state, entry?.rootImage);
  return entry === undefined || deployment === undefined ? undefined : { entry, deployment };
}

/**
 * Whether the next boot goes back to a deployment that was there before, so that a second rollback takes that away: the
 * default is another deployment than the booted one, and had a boot entry before this newest one. At rest nothing is
 * booted, and a switch back leaves the same entries: there the quarantine of what was led away from tells.
 */
export function isRollbackQueued(state: SysrootState): boolean {
  const next = nextEntry(state);
  if (next === undefined || next.rootImage === state.booted?.rootImage) return false;
  const others = state.menu.entries.filter((each) => each !== next);
  const wasThere = others.some(({ rootImage, sequence }) => rootImage === next.rootImage && sequence < next.sequence);
  return wasThere && (state.booted !== undefined || isRolledBackFrom(state, others));
}

/** Whether what would boot without the newest entry was rolled back from. */
function isRolledBackFrom(state: SysrootState, entries: readonly BootEntry[]): boolean {
  const left = findDeployment(state, nextEntry({ ...state, menu: { ...state.menu, entries } })?.rootImage);
  return state.quarantine.some(
    ({ manifestDigest, cause }) => cause === "rolled-back" && manifestDigest === left?.origin?.manifestDigest,
  );
}

/** How often a loader that counts starts a new deployment before it gives it up. */
export const triesOfNewEntry = 3;

/** What a deployment is. One can be several: after a quiet boot the booted one is the default. */
export type DeploymentRole = "staged" | "booted" | "default" | "rollback" | "quarantined";

/** The roles of a deployment, in the order of {@link DeploymentRole}; empty for one that is only still there. */
export function deploymentRoles(state: SysrootState, { rootImage, origin }: Deployment): readonly DeploymentRole[] {
  const roles: Readonly<Record<DeploymentRole, boolean>> = {
    staged: state.staged?.rootImage === rootImage,
    booted: state.booted?.rootImage === rootImage,
    default: nextEntry(state)?.rootImage === rootImage,
    rollback: wayBack(state)?.deployment.rootImage === rootImage,
    quarantined: state.quarantine.some(({ manifestDigest }) => manifestDigest === origin?.manifestDigest),
  };
  const order: readonly DeploymentRole[] = ["staged", "booted", "default", "rollback", "quarantined"];
  return order.filter((role) => roles[role]);
}
