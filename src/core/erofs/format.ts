import { fileType } from "../tree/file-type.ts";

/**
 * Numbers of the EROFS format and of composefs on it. All are on disk: changing one makes other images.
 *
 * @see https://docs.kernel.org/filesystems/erofs.html
 */

/** Bytes in a block; the only size that composefs uses. */
export const blockSize = 4096;
export const blockBits = 12;

/** Inodes start at multiples of this; a nid counts them. */
export const slotSize = 32;

/** The composefs header at the start of the image. */
export const composefsMagic = 0xd078629a;
export const composefsHeaderVersion = 1;
export const aclFlag = 1;

export const superblockOffset = 1024;
export const superblockSize = 128;
export const erofsMagic = 0xe0f5e1e2;
/** MTIME and XATTR_FILTER. */
export const featureCompat = 6;
/** CHUNKED_FILE: the one incompatible feature that does not change where things are. */
export const chunkedFileFeature = 4;

export const compactInodeSize = 32;
export const extendedInodeSize = 64;

/** Where an inode's data is: `i_format >> 1`. */
export const dataLayout = { flatPlain: 0, flatInline: 2, chunkBased: 4 } as const;

/** The file types of directory entries, which are numbered from 1 in this order, as type bits of a mode. */
export const direntTypes: readonly number[] = [
  fileType.regular,
  fileType.directory,
  fileType["character-device"],
  fileType["block-device"],
  fileType.fifo,
  fileType.socket,
  fileType.symlink,
];

/** Bytes of a directory entry without its name. */
export const direntSize = 12;

/** Bytes of an inode's xattr area before references and entries. */
export const xattrHeaderSize = 12;
/** Bytes of an xattr entry before name and value. */
export const xattrEntrySize = 4;

/** Prefixes of xattr keys and their numbers; the first that fits is taken, 0 stands for none. */
export const xattrPrefixes = [
  { index: 1, prefix: "user." },
  { index: 2, prefix: "system.posix_acl_access" },
  { index: 3, prefix: "system.posix_acl_default" },
  { index: 4, prefix: "trusted." },
  { index: 6, prefix: "security." },
] as const;

/** Longest name, symlink target or backing path, and inline content, in bytes. */
export const maxNameLength = 255;
export const maxTargetLength = 4095;
export const maxInlineLength = 5000;

/** Xattr keys by which overlayfs and composefs speak about what lies outside the image. */
export const overlayKey = {
  prefix: "trusted.overlay.",
  escapedPrefix: "trusted.overlay.overlay.",
  metacopy: "trusted.overlay.metacopy",
  redirect: "trusted.overlay.redirect",
  opaque: "trusted.overlay.opaque",
  whiteout: "trusted.overlay.overlay.whiteout",
  whiteouts: "trusted.overlay.overlay.whiteouts",
  escapedOpaque: "trusted.overlay.overlay.opaque",
  userWhiteout: "user.overlay.whiteout",
  userWhiteouts: "user.overlay.whiteouts",
  userOpaque: "user.overlay.opaque",
} as const;
