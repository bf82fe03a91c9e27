import type { Inode } from "./inode.ts";

/** What to call an inode when speaking to a person. */
export const kindNames: Readonly<Record<Inode["kind"], string>> = {
  directory: "directory",
  regular: "regular file",
  symlink: "symlink",
  fifo: "FIFO",
  socket: "socket",
  "character-device": "character device",
  "block-device": "block device",
};
