import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import { isHex } from "../core/bytes/hex.ts";
import { digestLength, type ObjectId, type VerityAlgorithm } from "../core/digest/object-id.ts";
import type { Directory, FileTree } from "../core/tree/inode.ts";

/** An object that probably holds what comes next. */
export interface KnownFile {
  readonly id: ObjectId;
  readonly sizeBytes: number;
}

/** The files of an image that is already here, by path without leading slash; plain data for a worker. A hint only. */
export type KnownFiles = ReadonlyMap<ByteString, KnownFile>;

/**
 * The objects behind the files of `tree`, by path: what a newer version of the same image most likely brings again.
 */
export function knownFilesOf(tree: FileTree, algorithm: VerityAlgorithm): KnownFiles {
  const known = new Map<ByteString, KnownFile>();
  collect(tree.root, fromText(""), (path, file) => {
    if (isHex(file.id, digestLength(algorithm))) known.set(path, file);
  });
  return known;
}

function collect(directory: Directory, prefix: ByteString, add: (path: ByteString, file: KnownFile) => void): void {
  for (const [name, inode] of directory.entries) {
    const path = `${prefix}${name}` as ByteString;
    if (inode.kind === "directory") collect(inode, `${path}/` as ByteString, add);
    if (inode.kind !== "regular" || inode.content.kind !== "external") continue;
    const { digest, sizeBytes } = inode.content;
    if (digest !== undefined) add(path, { id: digest as ObjectId, sizeBytes: Number(sizeBytes) });
  }
}
