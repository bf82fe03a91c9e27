import { type ByteString, toText } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { fileType, typeMask } from "../tree/file-type.ts";
import type { Directory, FileContent, Inode, Leaf, Stat, Xattrs } from "../tree/inode.ts";
import { externalContent } from "../tree/object-content.ts";
import { dataLayout, maxInlineLength, maxNameLength, maxTargetLength } from "./format.ts";
import type { RawImage, RawInode } from "./raw-image.ts";
import { type DecodedXattrs, decodeXattrs, type ErofsView } from "./raw-xattrs.ts";
import { unreadable, unsupported } from "./superblock.ts";

/** Deepest directory. A path of so many names is far longer than the kernel takes; a hostile image would go on. */
const maxDepth = 4096;

/** A directory without its names. */
export interface RawDirectory {
  readonly kind: "directory";
  readonly raw: RawInode;
  readonly stat: Stat;
  readonly xattrs: Xattrs;
  /** Whether a whiteout has its own name here. Only formats 0 and 1 tell. */
  readonly holdsWhiteouts: boolean;
}

/** Turns the inodes of an image into values, one by one, as it is asked for them. */
export class InodeReader {
  readonly #image: RawImage;
  readonly #view: ErofsView;
  readonly #escapedWhiteouts = new Set<Inode>();

  constructor(image: RawImage, view: ErofsView) {
    this.#image = image;
    this.#view = view;
  }

  /** The inode with the number `nid`, which is so many directories deep; to be read once. */
  inode(nid: number, depth: number): RawDirectory | Leaf {
    const raw = this.#image.inode(nid);
    const type = raw.mode & typeMask;
    const decoded = decodeXattrs(this.#image.xattrs(raw), {
      isRegular: type === fileType.regular,
      version: this.#image.superblock.composefsVersion,
      view: this.#view,
    });
    if (type !== fileType.directory) return this.#leaf(raw, decoded);
    if (depth > maxDepth) {
      throw new OsdeployError(
        "limit-exceeded",
        `Cannot read the root image: it is more than ${maxDepth} directories deep`,
      );
    }
    const { xattrs, holdsWhiteouts } = decoded;
    return { kind: "directory", raw, stat: statOf(raw), xattrs, holdsWhiteouts };
  }

  /** The names of a directory in stored order, with the nids that they lead to; to be read once. */
  names(raw: RawInode): Iterable<{ readonly name: ByteString; readonly nid: number }> {
    return this.#image.names(raw);
  }

  /** Whether an inode stands for a whiteout of the tree. */
  isEscapedWhiteout(inode: Inode): boolean {
    return this.#escapedWhiteouts.has(inode);
  }

  /**
   * Whether an inode is in the image and not in the view.
   *
   * Formats 0 and 1 write a whiteout of the tree as an empty file, so a real one is never the tree's: those in the root
   * keep the object directories from showing through. composefs-info leaves out all of them in any format.
   */
  isHidden(inode: Inode): boolean {
    if (inode.kind !== "character-device" || inode.rdev !== 0 || this.isEscapedWhiteout(inode)) return false;
    return this.#view === "composefs-info" || this.#image.superblock.composefsVersion < 2;
  }

  #leaf(raw: RawInode, decoded: DecodedXattrs): Leaf {
    const stat = statOf(raw);
    const { xattrs } = decoded;
    const { nlink } = raw;
    const common = { stat, xattrs, nlink };
    switch (raw.mode & typeMask) {
      // Nearly all; each field by its name takes a fraction of the time.
      case fileType.regular:
        if (decoded.isWhiteout) return this.#escapedWhiteout(common);
        return { kind: "regular", stat, xattrs, nlink, content: this.#content(raw, decoded) };
      case fileType.symlink:
        return { kind: "symlink", stat, xattrs, nlink, target: this.#target(raw) };
      case fileType["character-device"]:
        return { ...common, kind: "character-device", rdev: raw.location, claimedSizeBytes: 0n };
      case fileType["block-device"]:
        return { ...common, kind: "block-device", rdev: raw.location, claimedSizeBytes: 0n };
      case fileType.fifo:
        return { ...common, kind: "fifo", rdev: 0, claimedSizeBytes: 0n };
      case fileType.socket:
        return { ...common, kind: "socket", rdev: 0, claimedSizeBytes: 0n };
      default:
        throw unreadable(`an inode has mode ${raw.mode.toString(8)}`);
    }
  }

  #escapedWhiteout(common: Pick<Leaf, "stat" | "xattrs" | "nlink">): Leaf {
    const whiteout: Leaf = { ...common, kind: "character-device", rdev: 0, claimedSizeBytes: 0n };
    this.#escapedWhiteouts.add(whiteout);
    return whiteout;
  }

  #content(raw: RawInode, decoded: DecodedXattrs): FileContent {
    const { sizeBytes } = raw;
    if (raw.layout === dataLayout.chunkBased && sizeBytes > 0n) {
      return externalContent(sizeBytes, decoded);
    }
    if (sizeBytes > maxInlineLength) throw unsupported(`a file of ${sizeBytes} bytes is inline`);
    return { kind: "inline", bytes: sizeBytes === 0n ? noBytes : this.#image.bytes(raw) };
  }

  #target(raw: RawInode): ByteString {
    if (raw.sizeBytes === 0n || raw.sizeBytes > maxTargetLength) {
      throw unreadable(`a symlink's target has ${raw.sizeBytes} bytes`);
    }
    const target = this.#image.bytes(raw);
    if (target.includes("\0")) throw unreadable("a symlink's target holds a NUL");
    return target;
  }
}

const noBytes = "" as ByteString;

function statOf(raw: RawInode): Stat {
  const { uid, gid, mtimeSeconds, mtimeNanoseconds } = raw;
  return { permissions: raw.mode & 0o7777, uid, gid, mtimeSeconds, mtimeNanoseconds };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL ends a name and so cannot be in it
const notInNames = /[\x00/]/;

/** @throws OsdeployError `bad-format` when `name` is none, or one of `entries` has it. */
export function checkName(entries: Directory["entries"], name: ByteString): void {
  if (name.length === 0 || name.length > maxNameLength || notInNames.test(name)) {
    throw unreadable(`"${toText(name).slice(0, 300)}" cannot be a file's name`);
  }
  if (entries.has(name)) throw unreadable(`a directory has two entries "${toText(name)}"`);
}
