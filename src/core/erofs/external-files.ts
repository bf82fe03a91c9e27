import { ByteReader } from "../bytes/byte-reader.ts";
import type { ByteString } from "../bytes/byte-string.ts";
import { fileType, overlayKey, typeMask } from "./format.ts";
import { RawImage, type RawInode } from "./raw-image.ts";

/** A regular file whose bytes are in an object. */
export interface ExternalFile {
  /** From the root, without leading slash. */
  readonly path: ByteString;
  /** Where the bytes lie, relative to the object directory: `ab/cdef…`. */
  readonly backingPath: ByteString;
  readonly sizeBytes: number;
}

/**
 * The files of a root image that have an object, each once, in no order to rely on. Much cheaper than reading the tree:
 * nothing else of an inode is looked at.
 *
 * @throws OsdeployError `bad-format` or `unsupported` when `image` is no root image, or parts of it overlap.
 */
export function* externalFiles(image: Uint8Array): Generator<ExternalFile> {
  const raw = new RawImage(new ByteReader(image, "root image"));
  const seen = new Set<number>([raw.superblock.rootNid]);
  const queue: { readonly inode: RawInode; readonly prefix: string }[] = [
    { inode: raw.inode(raw.superblock.rootNid), prefix: "" },
  ];
  // The queue grows while it is walked.
  for (const { inode, prefix } of queue) {
    for (const { name, nid } of raw.names(inode)) {
      if (seen.has(nid)) continue;
      seen.add(nid);
      const child = raw.inode(nid);
      const type = child.mode & typeMask;
      if (type === fileType.directory) queue.push({ inode: child, prefix: `${prefix}${name}/` });
      if (type !== fileType.regular) continue;
      const backingPath = redirectOf(raw, child);
      if (backingPath === undefined) continue;
      yield { path: `${prefix}${name}` as ByteString, backingPath, sizeBytes: Number(child.sizeBytes) };
    }
  }
}

function redirectOf(raw: RawImage, inode: RawInode): ByteString | undefined {
  for (const [key, value] of raw.xattrs(inode)) {
    if (key === overlayKey.redirect) return value.slice(1) as ByteString;
  }
  return undefined;
}
