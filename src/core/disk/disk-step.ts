import type { ByteString } from "../bytes/byte-string.ts";
import type { Stat, Xattrs } from "../tree/inode.ts";

/** One inode of a file system that is to be made. Parents come before what is in them. */
export interface DiskStep {
  /** From the top of the file system, without leading slash. */
  readonly path: ByteString;
  readonly stat: Stat;
  readonly xattrs: Xattrs;
  readonly content: DiskContent;
}

/** What an inode is, and where its bytes lie. */
export type DiskContent =
  | { readonly kind: "directory" }
  | { readonly kind: "symlink"; readonly target: ByteString }
  | { readonly kind: "character-device" | "block-device" | "fifo"; readonly rdev: number }
  /** A file of this machine, by its path. With `sealedBytes` it holds that many bytes and behind them a verity tail. */
  | { readonly kind: "file"; readonly source: ByteString; readonly sealedBytes: number | undefined };

/** Who owns what osdeploy itself makes: root; `permissions` are the low twelve bits of the mode. */
export function ownedByRoot(permissions: number, mtimeSeconds: number): Stat {
  return { permissions, uid: 0, gid: 0, mtimeSeconds: BigInt(mtimeSeconds), mtimeNanoseconds: 0 };
}
