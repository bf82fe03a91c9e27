import type { ByteString } from "../../src/core/bytes/byte-string.ts";
import type { ObjectId, VerityAlgorithm } from "../../src/core/digest/object-id.ts";
import type { FileKind } from "../../src/linux/linux.ts";

/** What a file has besides its bytes and names. Never changed in place, so that what is durable can share it. */
export interface FakeAttributes {
  readonly permissions: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: bigint;
  readonly mtimeNanoseconds: number;
  readonly xattrs: ReadonlyMap<ByteString, ByteString>;
  /** By `chattr +i`. */
  readonly isProtected?: boolean;
  readonly seal?: { readonly algorithm: VerityAlgorithm; readonly digest: ObjectId };
}

/** The bytes of a file: the first `length` of `bytes`, which may have room behind them. */
export interface FakeContent {
  readonly bytes: Uint8Array;
  readonly length: number;
}

export interface FakeFileSystem {
  readonly number: number;
  readonly type: number;
  readonly totalBytes: number;
  readonly readOnly: boolean;
  /** Whether it is gone when the machine stops. */
  readonly volatile: boolean;
  usedBytes: number;
  /** What changed since it was last durable. */
  readonly dirty: Set<FakeInode>;
}

export interface FakeInode {
  readonly number: number;
  readonly fileSystem: FakeFileSystem;
  readonly kind: FileKind;
  readonly rdev: number;
  /** Of a symlink. */
  readonly target: ByteString;
  attributes: FakeAttributes;
  content: FakeContent;
  /** Of a directory: the names as the kernel shows them now. */
  readonly entries: Map<ByteString, FakeInode>;
  /** The directory that holds the newest name; the root of a file system holds itself. */
  parent: FakeInode;
  names: number;
  /** Whether bytes on the disk were changed behind the kernel's back. */
  damaged: boolean;
  /** What a crash leaves of bytes and attributes; undefined when nothing. */
  durable: { readonly attributes: FakeAttributes; readonly content: FakeContent } | undefined;
  /** What a crash leaves of the names in a directory. */
  durableEntries: ReadonlyMap<ByteString, FakeInode>;
}

export const noContent: FakeContent = { bytes: new Uint8Array(0), length: 0 };

/** What bytes take on the disk. */
export function blockBytes(length: number): number {
  return Math.ceil(length / 4096) * 4096;
}

/** Writes `source` at `position`, growing the file. Bytes that a durable content shares are not touched. */
export function writeContent(inode: FakeInode, position: number, source: Uint8Array): void {
  const old = inode.content;
  const length = Math.max(old.length, position + source.length);
  const sharedLength = inode.durable?.content.bytes === old.bytes ? inode.durable.content.length : 0;
  let { bytes } = old;
  if (length > bytes.length || position < sharedLength) {
    bytes = new Uint8Array(Math.max(length, old.length > 0 ? old.length * 2 : 0));
    bytes.set(old.bytes.subarray(0, old.length));
  }
  bytes.set(source, position);
  inode.content = { bytes, length };
  inode.fileSystem.usedBytes += blockBytes(length) - blockBytes(old.length);
}

/** Makes bytes and attributes durable, and the names in it when it is a directory. */
export function syncInode(inode: FakeInode): void {
  inode.durable = { attributes: inode.attributes, content: inode.content };
  if (inode.kind === "directory") inode.durableEntries = new Map(inode.entries);
  inode.fileSystem.dirty.delete(inode);
}

/** The attributes without what was set after the file was made. */
export function attributesAtFirst(inode: FakeInode): FakeAttributes {
  const { seal: _, ...others } = inode.attributes;
  return { ...others, xattrs: new Map() };
}
