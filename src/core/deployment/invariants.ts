import type { ObjectId } from "../digest/object-id.ts";

/** What lies on a disk, as far as the invariants speak of it. */
export interface SystemSnapshot {
  readonly bootEntries: readonly SnapshotEntry[];
  readonly stateDirectories: ReadonlySet<ObjectId>;
  /** Root images that have a name in the repo, with the objects that each names and that are missing or damaged. */
  readonly rootImages: ReadonlyMap<ObjectId, { readonly badObjects: readonly ObjectId[] }>;
}

interface SnapshotEntry {
  readonly fileName: string;
  readonly sequence: number;
  readonly rootImage: ObjectId;
  /** The files that the entry names exist and are whole. */
  readonly bootFilesComplete: boolean;
}

/**
 * What is wrong with a disk, in sentences that begin with the invariant's name; empty when all is well.
 *
 * I1: every boot entry's kernel, root image and state directory exist, complete. I3: every object that a root image
 * reaches exists and measures to its name.
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
  for (const [rootImage, { badObjects }] of snapshot.rootImages) {
    for (const object of badObjects)
      wrong.push(`I3: root image ${rootImage} needs object ${object}, which is missing or damaged`);
  }
  return wrong;
}

/**
 * What an operation did to a disk that it must never do, crash or not; empty when all is well.
 *
 * I2: the deployment that was the default is still there. I4: the default entry is the one before the operation, or the
 * one it asked for.
 */
export function checkTransition(
  before: SystemSnapshot,
  after: SystemSnapshot,
  asked: ObjectId | undefined,
): readonly string[] {
  const was = defaultRootImage(before);
  const is = defaultRootImage(after);
  const wrong: string[] = [];
  if (was !== undefined && !after.bootEntries.some(({ rootImage }) => rootImage === was)) {
    wrong.push(`I2: the default deployment ${was} lost its boot entry`);
  }
  if (is !== was && is !== asked)
    wrong.push(`I4: the default is ${is}, neither ${was} as before nor ${asked} as asked`);
  return wrong;
}

function defaultRootImage({ bootEntries }: SystemSnapshot): ObjectId | undefined {
  return [...bootEntries].sort((a, b) => b.sequence - a.sequence)[0]?.rootImage;
}
