import { toText } from "../bytes/byte-string.ts";
import type { TreeDifference } from "../tree/diff-trees.ts";
import type { RegularFile } from "../tree/inode.ts";

/** One path that is another one in the new image. */
export interface FileChange {
  /** Absolute, as text. */
  readonly path: string;
  readonly change: "added" | "removed" | "changed";
}

/** What becomes of the files when one image takes the place of another; directories, links and devices count too. */
export interface FileChanges {
  readonly added: number;
  readonly removed: number;
  /** In content, kind, permissions, owner, link target or capabilities. */
  readonly changed: number;
  /** Those that differ in nothing but their time. */
  readonly touched: number;
  /** The first of those that are added, removed or changed, in the order of their paths. */
  readonly paths: readonly FileChange[];
  /** Whether there are more than `paths` says. */
  readonly isCut: boolean;
}

/** How many paths are named. An image can have as many as it likes. */
export const namedPathLimit = 5000;

/** What other file systems are mounted over when the machine runs: their content in an image says nothing. */
const mountedOver = /^\/(?:boot|sysroot)(?:\/|$)/;

/**
 * Counts the differences of two root trees. `hasSameContent` is asked where the trees cannot tell by themselves whether two
 * files hold the same bytes, because one of them is named by another digest.
 */
export function planFileChanges(
  differences: readonly TreeDifference[],
  hasSameContent: (before: RegularFile, after: RegularFile) => boolean,
): FileChanges {
  const counts = { added: 0, removed: 0, changed: 0, touched: 0 };
  const paths: FileChange[] = [];
  for (const difference of differences) {
    if (mountedOver.test(difference.path)) continue;
    const change = changeOf(difference, hasSameContent);
    if (change === "same") continue;
    counts[change]++;
    if (change !== "touched" && paths.length < namedPathLimit) paths.push({ path: toText(difference.path), change });
  }
  const isCut = counts.added + counts.removed + counts.changed > paths.length;
  return { ...counts, paths, isCut };
}

function changeOf(
  { before, after, changes }: TreeDifference,
  hasSameContent: (before: RegularFile, after: RegularFile) => boolean,
): FileChange["change"] | "touched" | "same" {
  if (before === undefined) return "added";
  if (after === undefined) return "removed";
  const isSame =
    changes.includes("content") &&
    before.kind === "regular" &&
    after.kind === "regular" &&
    hasSameContent(before, after);
  const real = changes.filter((change) => !(isSame && change === "content"));
  if (real.length === 0) return "same";
  return real.every((change) => change === "time") ? "touched" : "changed";
}
