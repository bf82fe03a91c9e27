import type { ByteString } from "../bytes/byte-string.ts";

/** Who may do what with an inode, and when its content changed. */
export interface Stat {
  /** The low twelve bits of the mode: rwx for three, setuid, setgid, sticky. */
  readonly permissions: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970; a signed 64-bit number. */
  readonly mtimeSeconds: bigint;
  /** Nanoseconds after that second; an unsigned 32-bit number, which an odd dump may let exceed 999 999 999. */
  readonly mtimeNanoseconds: number;
}

/** Extended attributes: full key (`security.selinux`) to value; both are bytes. */
export type Xattrs = ReadonlyMap<ByteString, ByteString>;

/** The content of a regular file: in the tree itself, or outside, in an object. */
export type FileContent = InlineContent | ExternalContent;

export interface InlineContent {
  readonly kind: "inline";
  readonly bytes: ByteString;
}

export interface ExternalContent {
  readonly kind: "external";
  /** An unsigned 64-bit number, never 0. */
  readonly sizeBytes: bigint;
  /** Where the bytes lie, relative to the object directory (`ab/cdef…`), without a leading slash. */
  readonly backingPath: ByteString | undefined;
  /** fs-verity digest of the bytes, lower-case hex, 64 or 128 digits. */
  readonly digest: string | undefined;
}

interface InodeCommon {
  readonly stat: Stat;
  readonly xattrs: Xattrs;
}

/** What is not a directory; it can have several names. */
interface LeafCommon extends InodeCommon {
  /** The number of names, as it is to be written. */
  readonly nlink: number;
}

export interface RegularFile extends LeafCommon {
  readonly kind: "regular";
  readonly content: FileContent;
}

export interface Symlink extends LeafCommon {
  readonly kind: "symlink";
  /** 1 to 4095 bytes. */
  readonly target: ByteString;
}

/** A character or block device, FIFO or socket. A character device 0:0 is an overlayfs whiteout. */
export interface SpecialFile extends LeafCommon {
  readonly kind: "character-device" | "block-device" | "fifo" | "socket";
  /** The device number as the kernel encodes it in 32 bits; 0 for FIFOs and sockets. */
  readonly rdev: number;
  /** The size that a dump claims, else 0n. Never written, but it decides the inode's form as mkcomposefs does. */
  readonly claimedSizeBytes: bigint;
}

export type Leaf = RegularFile | Symlink | SpecialFile;

export interface Directory extends InodeCommon {
  readonly kind: "directory";
  /** Name to inode. Names that share one inode share the object: that is a hard link. No `.` and `..`. */
  readonly entries: ReadonlyMap<ByteString, Inode>;
  /**
   * The names in here that are further links to an inode whose own name is elsewhere. Over the whole tree each leaf has
   * exactly one name that is in no `links`; it decides the inode's place in an image.
   */
  readonly links: ReadonlySet<ByteString>;
}

/** A directory that is still being filled. */
export interface OpenDirectory extends Directory {
  readonly entries: Map<ByteString, Inode>;
  readonly links: Set<ByteString>;
}

export type Inode = Directory | Leaf;

/** A file system as values. */
export interface FileTree {
  readonly root: Directory;
}
