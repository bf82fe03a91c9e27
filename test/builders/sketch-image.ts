/** An inode of an image to be written by hand. What is not said is as composefs-rs's format 2 has it. */
export interface SketchInode {
  readonly mode: number;
  readonly nlink?: number;
  readonly size?: number;
  /** 0 flat, 2 with the data behind the inode, 4 chunks. */
  readonly layout?: number;
  readonly location?: number;
  /** Instead of the layout and 1 for an extended inode. */
  readonly format?: number;
  /** Prefix number, rest of the key, value. */
  readonly xattrs?: readonly (readonly [number, string, string])[];
  /** Instead of the number of shared xattrs, which is 0. */
  readonly sharedCount?: number;
  readonly tail?: string;
  /** Of a directory: names and the indices of the inodes that they lead to. `.` and `..` are put in. */
  readonly names?: readonly (readonly [string, number])[];
}

/** What to write into the header besides what is right. */
export interface SketchHeader {
  readonly version?: number;
  readonly rootIndex?: number;
}

const inodesStart = 1152;

/**
 * A small image with just these inodes, the first one the root: extended ones, in the given order, everything behind its
 * inode. That is composefs-rs's format 2 when the order is depth-first; and what a hostile image is made from.
 */
export function sketchImage(inodes: readonly SketchInode[], header: SketchHeader = {}): Uint8Array {
  const bytes = new Uint8Array(4096 * 4);
  const view = new DataView(bytes.buffer);
  const offsets: number[] = [];
  let at = inodesStart;
  for (const inode of inodes) {
    offsets.push(at);
    at = Math.ceil((at + 64 + xattrBytes(inode).length + tailLength(inode)) / 32) * 32;
  }
  const nid = (index: number) => (offsets[index] ?? index * 32) / 32;
  view.setUint32(0, 0xd078629a, true);
  view.setUint32(4, 1, true);
  view.setUint32(12, header.version ?? 2, true);
  view.setUint32(1024, 0xe0f5e1e2, true);
  view.setUint8(1036, 12);
  view.setUint16(1038, nid(header.rootIndex ?? 0), true);
  for (const [index, inode] of inodes.entries()) {
    const offset = offsets[index] ?? 0;
    const xattrs = xattrBytes(inode);
    const tail = inode.names === undefined ? (inode.tail ?? "") : direntGroup(inode.names, index, nid);
    view.setUint16(offset, inode.format ?? ((inode.layout ?? (tail === "" ? 0 : 2)) << 1) | 1, true);
    view.setUint16(offset + 2, xattrs.length === 0 ? 0 : (xattrs.length - 12) / 4 + 1, true);
    view.setUint16(offset + 4, inode.mode, true);
    view.setBigUint64(offset + 8, BigInt(inode.size ?? tail.length), true);
    view.setUint32(offset + 16, inode.location ?? 0, true);
    view.setUint32(offset + 44, inode.nlink ?? 1, true);
    put(bytes, offset + 64, xattrs + tail);
  }
  return bytes;
}

function tailLength(inode: SketchInode): number {
  return inode.names === undefined ? (inode.tail ?? "").length : direntGroup(inode.names, 0, () => 0).length;
}

function xattrBytes(inode: SketchInode): string {
  const { xattrs = [], sharedCount } = inode;
  if (xattrs.length === 0 && sharedCount === undefined) return "";
  let text = `\0\0\0\0${String.fromCharCode(sharedCount ?? 0)}${"\0".repeat(7)}`;
  for (const [index, name, value] of xattrs) {
    text += `${String.fromCharCode(name.length, index)}${u16(value.length)}${name}${value}`;
    text = text.padEnd(Math.ceil(text.length / 4) * 4, "\0");
  }
  return text;
}

function direntGroup(
  names: readonly (readonly [string, number])[],
  self: number,
  nid: (index: number) => number,
): string {
  const all = [[".", self], ["..", self], ...names] as const;
  let records = "";
  let texts = "";
  for (const [name, index] of all) {
    records += `${u16(nid(index))}${"\0".repeat(6)}${u16(12 * all.length + texts.length)}\0\0`;
    texts += name;
  }
  return records + texts;
}

function u16(value: number): string {
  return String.fromCharCode(value & 255, value >> 8);
}

function put(bytes: Uint8Array, offset: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[offset + i] = text.charCodeAt(i);
}
