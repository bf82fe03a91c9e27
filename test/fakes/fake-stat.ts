import type { FileStat } from "../../src/linux/linux.ts";
import type { FakeInode } from "./fake-inode.ts";

/** What the fake's `lstat` tells about an inode. */
export function statOf(inode: FakeInode): FileStat {
  const { permissions, uid, gid, mtimeSeconds, mtimeNanoseconds } = inode.attributes;
  return {
    kind: inode.kind,
    permissions,
    uid,
    gid,
    nlink: inode.kind === "directory" ? 2 + childDirectories(inode) : inode.names,
    rdev: inode.rdev,
    sizeBytes: sizeOf(inode),
    mtimeSeconds,
    mtimeNanoseconds,
    identity: `${inode.fileSystem.number}:${inode.number}`,
  };
}

function childDirectories(inode: FakeInode): number {
  return [...inode.entries.values()].filter((child) => child.kind === "directory").length;
}

function sizeOf(inode: FakeInode): number {
  if (inode.kind === "directory") return 4096;
  return inode.kind === "symlink" ? inode.target.length : inode.content.length;
}
