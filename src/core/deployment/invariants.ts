import { type BootTries, isExhausted } from "../boot/boot-menu.ts";
import type { ObjectId } from "../digest/object-id.ts";

/** What lies on a disk, as far as the invariants speak of it. */
export interface SystemSnapshot {
  readonly bootEntries: readonly SnapshotEntry[];
  /** What the machine runs from; undefined for a sysroot at rest. */
  readonly booted: ObjectId | undefined;
  /** What is marked to be committed at shutdown. */
  readonly staged: StagedSnapshot | undefined;
  readonly stateDirectories: ReadonlySet<ObjectId>;
  /** Root images that have a name in the repo, with the objects that each names and that are missing or damaged. */
  readonly rootImages: ReadonlyMap<ObjectId, { readonly badObjects: readonly ObjectId[] }>;
}

interface SnapshotEntry {
  readonly fileName: string;
  readonly sequence: number;
  readonly rootImage: ObjectId;
  readonly tries: BootTries | undefined;
  /** The files that the entry names exist and are whole. */
  readonly bootFilesComplete: boolean;
}

interface StagedSnapshot {
  readonly rootImage: ObjectId;
  /** The files that its boot entry is going to name exist and are whole. */
  readonly bootFilesComplete: boolean;
}

/**
 * What is wrong with a disk, in sentences that begin with the invariant's name; empty when all is well.
 *
 * I1: every boot entry's kernel, root image and state directory exist, complete; so do the kernel and the root image of
 * what is staged, whose state directory is made again when it is committed. I3: every object that a root image reaches exists
 * and measures to its name.
 */
export function checkInvariants(snapshot: SystemSnapshot): readonly string[] {
  const wrong: string[] = [];
  for (const { fileName, rootImage, bootFilesComplete } of snapshot.bootEntries) {
    if (!bootFilesComplete) wrong.push(`I1: boot entry ${fileName} names a kernel or initramfs that is not whole`);
    if (!snapshot.rootImages.has(rootImage))
      wrong.push(`I1: boot entry ${fileName} names root image ${rootImage}, which is not there`);
    if (!snapshot.stateDirectories.has(rootImage))
      wrong.push(`I1: boot entry ${fileName} has no state directory ${rootImage}`);
  }
  wrong.push(...checkStaged(snapshot));
  for (const [rootImage, { badObjects }] of snapshot.rootImages) {
    for (const object of badObjects)
      wrong.push(`I3: root image ${rootImage} needs object ${object}, which is missing or damaged`);
  }
  return wrong;
}

function checkStaged({ staged, rootImages }: SystemSnapshot): readonly string[] {
  if (staged === undefined) return [];
  const { rootImage, bootFilesComplete } = staged;
  return [
    ...(bootFilesComplete ? [] : [`I1: what is staged, ${rootImage}, names a kernel or initramfs that is not whole`]),
    ...(rootImages.has(rootImage) ? [] : [`I1: what is staged, ${rootImage}, names a root image that is not there`]),
  ];
}

/**
 * What an operation did to a disk that it must never do, crash or not; empty when all is well.
 *
 * I2: the deployments that were the default and that run still have their entries. I4: the default entry is the one before
 * the operation, or the one it asked for.
 */
export function checkTransition(
  before: SystemSnapshot,
  after: SystemSnapshot,
  asked: ObjectId | undefined,
): readonly string[] {
  const was = defaultRootImage(before);
  const is = defaultRootImage(after);
  const wrong: string[] = [];
  const isLost = (rootImage: ObjectId | undefined) =>
    before.bootEntries.some((entry) => entry.rootImage === rootImage) &&
    !after.bootEntries.some((entry) => entry.rootImage === rootImage);
  if (isLost(was)) wrong.push(`I2: the default deployment ${was} lost its boot entry`);
  if (isLost(before.booted)) wrong.push(`I2: the booted deployment ${before.booted} lost its boot entry`);
  if (is !== was && is !== asked)
    wrong.push(`I4: the default is ${is}, neither ${was} as before nor ${asked} as asked`);
  return wrong;
}

function defaultRootImage({ bootEntries }: SystemSnapshot): ObjectId | undefined {
  const newestFirst = [...bootEntries].sort((a, b) => b.sequence - a.sequence);
  return (newestFirst.find((entry) => !isExhausted(entry)) ?? newestFirst[0])?.rootImage;
}
