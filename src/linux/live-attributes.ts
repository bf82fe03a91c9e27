import { chmodSync, lchownSync } from "node:fs";
import { type ByteString, fromBytes } from "../core/bytes/byte-string.ts";
import { assert } from "../core/errors.ts";
import { fileType } from "../core/tree/file-type.ts";
import { systemCallError } from "./errno.ts";
import { fixedBuffer } from "./foreign.ts";
import { atSymlinkNoFollow, atWorkingDirectory, checked, lastErrno, libc, toCString } from "./libc.ts";
import type { FileKind, FileSystemSpace, LinuxFiles, Path } from "./linux.ts";
import { attempt, toNodePath } from "./live-call.ts";
import { maskedBits } from "./umask.ts";

type AttributeCalls = "setPermissions" | "setOwner" | "setTime" | "makeNode" | "xattrs" | "setXattr" | "space";

/** The calls on what a file has besides its bytes and names. */
export const liveAttributes: Pick<LinuxFiles, AttributeCalls> = {
  setPermissions: (path, permissions) => {
    const answer = libc().chmodNoFollow(atWorkingDirectory, toCString(path), permissions, atSymlinkNoFollow);
    checked(answer, { verb: "set the permissions of", path });
  },
  setOwner: (path, uid, gid) => {
    const name = toNodePath(path);
    const invalid = `this user namespace has no user or no group ${uid}:${gid}`;
    attempt({ verb: "set the owner of", path, invalid }, () => lchownSync(name, uid, gid));
  },
  setTime,
  makeNode,
  xattrs,
  setXattr: (path, key, value) => {
    const bytes = Buffer.from(value, "latin1");
    const answer = libc().lsetxattr(toCString(path), toCString(key), bytes, bytes.length, 0);
    checked(answer, { verb: `set the attribute ${key} of`, path });
  },
  space,
};

/** Tells utimensat(2) to leave a time as it is. */
const utimeOmit = (1n << 30n) - 2n;

function setTime(path: Path, seconds: bigint, nanoseconds: number): void {
  const times = Buffer.alloc(32);
  times.writeBigInt64LE(utimeOmit, 8);
  times.writeBigInt64LE(seconds, 16);
  times.writeBigInt64LE(BigInt(nanoseconds), 24);
  const answer = libc().utimensat(atWorkingDirectory, toCString(path), times, atSymlinkNoFollow);
  checked(answer, { verb: "set the time of", path });
}

function makeNode(path: Path, kind: FileKind, options: { readonly permissions: number; readonly rdev: number }): void {
  assert(kind !== "directory" && kind !== "symlink", "directories and symlinks are made by calls of their own");
  const call = { verb: `make the ${kind}`, path, isNew: true } as const;
  checked(libc().mknod(toCString(path), fileType[kind] | options.permissions, options.rdev), call);
  if ((options.permissions & maskedBits()) === 0) return;
  const name = toNodePath(path);
  attempt(call, () => chmodSync(name, options.permissions));
}

/** The kernel's own limit for one value, and for the list of all keys (XATTR_SIZE_MAX, XATTR_LIST_MAX). */
const xattrLimitBytes = 65536;
let xattrList: Buffer | undefined;
let xattrValue: Buffer | undefined;

function xattrs(path: Path): ReadonlyMap<ByteString, ByteString> {
  const found = new Map<ByteString, ByteString>();
  const name = toCString(path);
  xattrList ??= fixedBuffer(xattrLimitBytes);
  const listLength = Number(libc().llistxattr(name, xattrList, xattrLimitBytes));
  if (listLength < 0) {
    const errno = lastErrno();
    if (errno === "ENOTSUP") return found;
    throw systemCallError({ verb: "list the attributes of", path }, errno);
  }
  const keys = xattrList.toString("latin1", 0, listLength).split("\0").slice(0, -1) as ByteString[];
  for (const key of keys) {
    const value = xattr(path, name, key);
    if (value !== undefined) found.set(key, value);
  }
  return found;
}

/** One value; undefined when the attribute went away since it was listed. */
function xattr(path: Path, name: Uint8Array, key: ByteString): ByteString | undefined {
  xattrValue ??= fixedBuffer(xattrLimitBytes);
  const length = Number(libc().lgetxattr(name, toCString(key), xattrValue, xattrLimitBytes));
  if (length >= 0) return fromBytes(xattrValue, 0, length);
  const errno = lastErrno();
  if (errno === "ENODATA") return undefined;
  throw systemCallError({ verb: `read the attribute ${key} of`, path }, errno);
}

/** The bit of `statfs.f_flags` for a read-only mount. */
const readOnlyFlag = 1n;

/** @see statfs(2): on 64-bit machines every field used here has eight bytes. */
function space(path: Path): FileSystemSpace {
  const fields = Buffer.alloc(120);
  checked(libc().statfs(toCString(path), fields), { verb: "read the free space of", path });
  const field = (index: number) => fields.readBigUInt64LE(index * 8);
  const blockSize = field(9) === 0n ? field(1) : field(9);
  return {
    type: Number(BigInt.asUintN(32, field(0))),
    totalBytes: Number(field(2) * blockSize),
    availableBytes: Number(field(4) * blockSize),
    availableInodes: Number(field(6)),
    readOnly: (field(10) & readOnlyFlag) !== 0n,
  };
}
