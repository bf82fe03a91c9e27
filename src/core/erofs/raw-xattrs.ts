import { type ByteString, compareBytes, toBytes } from "../bytes/byte-string.ts";
import { isHexOf, toHex } from "../bytes/hex.ts";
import type { Xattrs } from "../tree/inode.ts";
import { overlayKey } from "./format.ts";
import type { RawXattr } from "./raw-image.ts";

/** How to look at an image. */
export type ErofsView =
  /** The tree that the image was made of. */
  | "tree"
  /** What `composefs-info` shows, where that is less or more. */
  | "composefs-info";

/** What an inode's stored xattrs say, after what was added for overlayfs is taken out again. */
export interface DecodedXattrs {
  readonly xattrs: Xattrs;
  readonly isWhiteout: boolean;
  /** Of a directory: whether a whiteout has its own name in it. Only formats 0 and 1 tell. */
  readonly holdsWhiteouts: boolean;
  readonly backingPath: ByteString | undefined;
  readonly digest: string | undefined;
}

/** What is stored with a whiteout or its directory besides its own xattrs, in the versions that have it. */
const whiteoutMarks: ReadonlySet<string> = new Set([
  overlayKey.whiteouts,
  overlayKey.userWhiteout,
  overlayKey.userWhiteouts,
]);

const opaqueMarks: ReadonlySet<string> = new Set([overlayKey.escapedOpaque, overlayKey.userOpaque]);

/**
 * Undoes what the writer does to the xattrs of an inode.
 *
 * `isRegular` says whether the stored inode is a regular file: only those can be outside or stand for a whiteout.
 */
export function decodeXattrs(
  stored: readonly RawXattr[],
  how: { readonly isRegular: boolean; readonly version: number; readonly view: ErofsView },
): DecodedXattrs {
  const escapesWhiteouts = how.version < 2 || how.view === "composefs-info";
  const holdsWhiteouts = how.version < 2 && stored.some(([key]) => key === overlayKey.whiteouts);
  const hidesOpaque = how.view === "tree" && how.version === 1 && holdsWhiteouts;
  const xattrs: [ByteString, ByteString][] = [];
  let isWhiteout = false;
  let backingPath: ByteString | undefined;
  let metacopy: ByteString | undefined;
  for (const [key, value] of stored) {
    if (how.isRegular && key === overlayKey.redirect) backingPath = withoutSlash(value);
    else if (how.isRegular && key === overlayKey.metacopy) metacopy = value;
    else if (how.isRegular && escapesWhiteouts && key === overlayKey.whiteout) isWhiteout = true;
    else if (escapesWhiteouts && whiteoutMarks.has(key)) continue;
    else if (hidesOpaque && value === "x" && opaqueMarks.has(key)) continue;
    else if (key.startsWith(overlayKey.escapedPrefix)) xattrs.push([unescapeKey(key), value]);
    else if (!key.startsWith(overlayKey.prefix)) xattrs.push([key, value]);
  }
  if (how.view === "tree") xattrs.sort(([a], [b]) => compareBytes(a, b));
  const digest = metacopy === undefined ? undefined : digestOf(metacopy, backingPath);
  const named = xattrs.length === 0 ? noXattrs : new Map(xattrs);
  return { xattrs: named, isWhiteout, holdsWhiteouts, backingPath, digest };
}

const noXattrs: Xattrs = new Map();

function unescapeKey(key: ByteString): ByteString {
  return (overlayKey.prefix + key.slice(overlayKey.escapedPrefix.length)) as ByteString;
}

function withoutSlash(redirect: ByteString): ByteString {
  return redirect.length > 1 && redirect.startsWith("/") ? (redirect.slice(1) as ByteString) : redirect;
}

/** The digest in a metacopy value; undefined where there is none or it is of no known form. */
function digestOf(metacopy: ByteString, backingPath: ByteString | undefined): string | undefined {
  if (metacopy.length !== 36 && metacopy.length !== 68) return undefined;
  const bytes = metacopy.slice(4) as ByteString;
  // Nearly always it is in the path as well, which spares making its text anew.
  const inPath = backingPath === undefined ? "" : backingPath.slice(0, 2) + backingPath.slice(3);
  return isHexOf(inPath, bytes) ? inPath : toHex(toBytes(bytes));
}
