import type { ByteString } from "../bytes/byte-string.ts";
import type { FileContent, Stat, Xattrs } from "./inode.ts";

/** The names of a layer that begin so take names of the layers below away. */
export const whiteoutPrefix = ".wh.";

/**
 * One entry of a layer's tar, checked and decoded; in the order of the tar.
 *
 * `path` is relative to the root without leading or trailing slash, without empty and `.` components; the empty path is
 * the root itself. It holds no `..` and no NUL.
 */
export type LayerEntry =
  | { readonly kind: "directory"; readonly path: ByteString; readonly stat: Stat; readonly xattrs: Xattrs }
  | {
      readonly kind: "regular";
      readonly path: ByteString;
      readonly stat: Stat;
      readonly xattrs: Xattrs;
      readonly content: FileContent;
    }
  | {
      readonly kind: "symlink";
      readonly path: ByteString;
      readonly stat: Stat;
      readonly xattrs: Xattrs;
      readonly target: ByteString;
    }
  | {
      readonly kind: "character-device" | "block-device";
      readonly path: ByteString;
      readonly stat: Stat;
      readonly xattrs: Xattrs;
      readonly rdev: number;
    }
  | { readonly kind: "fifo"; readonly path: ByteString; readonly stat: Stat; readonly xattrs: Xattrs }
  /** `target` has the same form as `path` and names something in this layer or below. */
  | { readonly kind: "hard-link"; readonly path: ByteString; readonly target: ByteString };
