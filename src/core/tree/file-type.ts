import type { Inode } from "./inode.ts";

/** The bits of a mode that say what kind of file it is. */
export const typeMask = 0o170000;

/** These bits for each kind, as `stat(2)` and all file systems have them. */
export const fileType = {
  fifo: 0o010000,
  "character-device": 0o020000,
  directory: 0o040000,
  "block-device": 0o060000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const satisfies Record<Inode["kind"], number>;

const kinds = new Map(Object.entries(fileType).map(([kind, bits]) => [bits as number, kind as Inode["kind"]]));

/** The kind of file that has this mode; undefined for bits that no kind has. */
export function kindOfMode(mode: number): Inode["kind"] | undefined {
  return kinds.get(mode & typeMask);
}
