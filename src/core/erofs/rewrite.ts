import { ByteReader } from "../bytes/byte-reader.ts";
import { assert } from "../errors.ts";
import { type DirectoryChange, directoryChanges } from "../tree/directory-changes.ts";
import { fileType } from "../tree/file-type.ts";
import type { FileTree, Stat } from "../tree/inode.ts";
import { FileLookup } from "./file-lookup.ts";
import { readSuperblock, type Superblock } from "./superblock.ts";
import { type ErofsOptions, writeErofs } from "./writer.ts";

/** The trees of two root images that are made one after the other. */
export interface TreePair {
  readonly before: FileTree;
  readonly after: FileTree;
}

/**
 * The root image of `after`, byte for byte what {@link writeErofs} writes. `image` is that of `before`, and is used up:
 * where the trees differ only in what directories say of themselves, it becomes the new one, which takes no time.
 *
 * @throws OsdeployError what {@link writeErofs} throws.
 */
export function rewriteErofs(
  image: Uint8Array<ArrayBuffer>,
  { before, after }: TreePair,
  options: ErofsOptions,
): Uint8Array<ArrayBuffer> {
  const changes = directoryChanges(before, after);
  return changes !== undefined && restatDirectories(image, changes) ? image : writeErofs(after, options);
}

/**
 * Changes the inodes of directories in place. Returns false, and leaves the image as it is, where more would change than
 * fields of theirs. So it is with the root, whose whiteouts have its metadata too, and with a time that is the oldest of
 * the image, before or after: from that follows how long inodes are.
 */
function restatDirectories(image: Uint8Array, changes: readonly DirectoryChange[]): boolean {
  const lookup = new FileLookup(image);
  const superblock = readSuperblock(new ByteReader(image, "root image"));
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const inodes: { readonly at: number; readonly stat: Stat }[] = [];
  for (const { path, stat } of changes) {
    if (path === "") return false;
    const at = lookup.directoryOffset(path);
    assert(at !== undefined, "the image has the directories of its tree");
    if (!isYounger(timeOf(view, at, superblock), superblock) || !isYounger(stat, superblock)) return false;
    inodes.push({ at, stat });
  }
  for (const { at, stat } of inodes) writeStat(view, at, stat);
  return true;
}

type Time = Pick<Stat, "mtimeSeconds" | "mtimeNanoseconds">;

function isYounger(time: Time, { buildTimeSeconds, buildTimeNanoseconds }: Superblock): boolean {
  if (time.mtimeSeconds !== buildTimeSeconds) return time.mtimeSeconds > buildTimeSeconds;
  return time.mtimeNanoseconds > buildTimeNanoseconds;
}

/** A compact inode has the oldest time. */
function timeOf(view: DataView, at: number, superblock: Superblock): Time {
  const isExtended = (view.getUint16(at, true) & 1) === 1;
  return isExtended
    ? { mtimeSeconds: view.getBigInt64(at + 32, true), mtimeNanoseconds: view.getUint32(at + 40, true) }
    : { mtimeSeconds: superblock.buildTimeSeconds, mtimeNanoseconds: superblock.buildTimeNanoseconds };
}

/** Writes the fields of an extended inode: what is younger than the oldest has one, before and after. */
function writeStat(view: DataView, at: number, stat: Stat): void {
  view.setUint16(at + 4, fileType.directory | stat.permissions, true);
  view.setUint32(at + 24, stat.uid, true);
  view.setUint32(at + 28, stat.gid, true);
  view.setBigInt64(at + 32, stat.mtimeSeconds, true);
  view.setUint32(at + 40, stat.mtimeNanoseconds, true);
}
