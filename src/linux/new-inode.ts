import type { ByteString } from "../core/bytes/byte-string.ts";
import type { Stat, Xattrs } from "../core/tree/inode.ts";
import { type ContentSource, copyContent } from "./file-content.ts";
import type { FileKind, LinuxFiles, Path } from "./linux.ts";

/** What is to be made under a new name. */
export type NewInode =
  | { readonly kind: "directory" }
  | { readonly kind: "symlink"; readonly target: ByteString }
  | { readonly kind: "regular"; readonly source: ContentSource }
  | { readonly kind: Exclude<FileKind, "directory" | "symlink" | "regular">; readonly rdev: number };

/** Makes an inode that is its maker's alone, until {@link setMetadata}. */
export function makeInode(files: LinuxFiles, path: Path, inode: NewInode): void {
  switch (inode.kind) {
    case "directory":
      files.makeDirectory(path, 0o700);
      break;
    case "symlink":
      files.symlink(inode.target, path);
      break;
    case "regular":
      copyContent(files, inode.source, path);
      break;
    default:
      files.makeNode(path, inode.kind, { permissions: 0o600, rdev: inode.rdev });
  }
}

/**
 * Gives a new inode its owner, permissions and attributes, and no time yet: what is made in a directory changes that. Order
 * matters: a change of owner clears setuid and file capabilities, so permissions and xattrs come after it.
 */
export function setMetadata(
  files: LinuxFiles,
  path: Path,
  { kind, stat, xattrs }: { readonly kind: FileKind; readonly stat: Stat; readonly xattrs: Xattrs },
): void {
  files.setOwner(path, stat.uid, stat.gid);
  if (kind !== "symlink") files.setPermissions(path, stat.permissions);
  for (const [key, value] of xattrs) files.setXattr(path, key, value);
}

/** Gives an inode its time, last of all; the nanoseconds of an odd dump may be a second and more. */
export function setModificationTime(files: LinuxFiles, path: Path, stat: Stat): void {
  files.setTime(path, stat.mtimeSeconds, stat.mtimeNanoseconds % 1_000_000_000);
}
