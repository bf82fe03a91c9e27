import { type ByteString, fromText } from "../bytes/byte-string.ts";
import { contentKey, sameXattrs } from "./diff-trees.ts";
import type { FileTree, Inode } from "./inode.ts";

/** Where one inode of a merged /etc comes from: the new image, or the host's present /etc. */
export interface EtcStep {
  /** Relative to /etc, without leading slash; empty for /etc itself. Parents come before children. */
  readonly path: ByteString;
  readonly from: "image" | "host";
  /** Directories are made with this inode's metadata and filled by later steps. */
  readonly inode: Inode;
}

/** The host and the new image changed the same path in ways that cannot both be had; the host's choice was taken. */
export interface EtcConflict {
  readonly path: ByteString;
  readonly reason: "both-changed" | "host-removed-image-changed" | "type-changed";
}

export interface EtcMerge {
  readonly steps: readonly EtcStep[];
  readonly conflicts: readonly EtcConflict[];
}

/**
 * Merges three states of /etc as ostree and bootc do: what the host changed, added or removed against the image it
 * was deployed from stays so; everything else becomes what the new image has.
 *
 * Changed means: kind, permissions, owner, xattrs, content, link target or device number differ; times do not count.
 * Contents are compared by what the trees say of them, so all three must name contents in the same way. A conflict is
 * no error: the host wins, and the caller tells the administrator.
 */
export function mergeEtc(trees: {
  readonly pristine: FileTree;
  readonly host: FileTree;
  readonly image: FileTree;
}): EtcMerge {
  const conflicts: EtcConflict[] = [];
  const roots = { pristine: trees.pristine.root, host: trees.host.root, image: trees.image.root };
  return { steps: mergeInodes({ path: fromText(""), ...roots }, conflicts), conflicts };
}

interface Versions {
  readonly path: ByteString;
  readonly pristine: Inode | undefined;
  readonly host: Inode | undefined;
  readonly image: Inode | undefined;
}

/** The steps for one path and all below it; none when the path is to be absent. */
function mergeInodes(versions: Versions, conflicts: EtcConflict[]): readonly EtcStep[] {
  const { path, pristine, host, image } = versions;
  if (same(pristine, host)) return followImage(versions, conflicts);
  const imageChanged = !same(pristine, image) && !same(host, image);
  if (host === undefined) {
    if (imageChanged) conflicts.push({ path, reason: "host-removed-image-changed" });
    return [];
  }
  if (imageChanged) {
    const reason = image !== undefined && image.kind !== host.kind ? "type-changed" : "both-changed";
    conflicts.push({ path, reason });
  }
  return [{ path, from: "host", inode: host }, ...mergeChildren(versions, host, conflicts)];
}

/** The host left this inode alone: it becomes what the image has, unless files of the host's own lie below it. */
function followImage(versions: Versions, conflicts: EtcConflict[]): readonly EtcStep[] {
  const { path, host, image } = versions;
  if (host?.kind === "directory" && image?.kind !== "directory") {
    const below = mergeChildren({ ...versions, image: undefined }, host, conflicts);
    if (below.length > 0) {
      if (image !== undefined) conflicts.push({ path, reason: "type-changed" });
      return [{ path, from: "host", inode: host }, ...below];
    }
  }
  if (image === undefined) return [];
  return [{ path, from: "image", inode: image }, ...mergeChildren(versions, image, conflicts)];
}

function mergeChildren(versions: Versions, chosen: Inode, conflicts: EtcConflict[]): readonly EtcStep[] {
  if (chosen.kind !== "directory") return [];
  const { path, pristine, host, image } = versions;
  const names = new Set([pristine, host, image].flatMap(namesIn));
  return [...names].sort().flatMap((name) =>
    mergeInodes(
      {
        path: (path === "" ? name : `${path}/${name}`) as ByteString,
        pristine: child(pristine, name),
        host: child(host, name),
        image: child(image, name),
      },
      conflicts,
    ),
  );
}

function namesIn(inode: Inode | undefined): readonly ByteString[] {
  return inode?.kind === "directory" ? [...inode.entries.keys()] : [];
}

function child(inode: Inode | undefined, name: ByteString): Inode | undefined {
  return inode?.kind === "directory" ? inode.entries.get(name) : undefined;
}

/** Whether two inodes are alike in all that counts as a change; for directories, without their entries. */
function same(a: Inode | undefined, b: Inode | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  const alike = a.stat.permissions === b.stat.permissions && a.stat.uid === b.stat.uid && a.stat.gid === b.stat.gid;
  return alike && sameXattrs(a.xattrs, b.xattrs) && sameContent(a, b);
}

function sameContent(a: Inode, b: Inode): boolean {
  return a.kind === b.kind && contentKey(a) === contentKey(b);
}
