import { type ByteString, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import { errnoName, type FailedCall, systemCallError } from "./errno.ts";
import { findLibrary, foreign } from "./foreign.ts";

/** The functions of the C library that Node does not offer, or not fast enough. Each answers -1 on failure. */
export interface Libc {
  readonly open: (path: Uint8Array, flags: number, mode: number) => number;
  readonly read: (fd: number, bytes: Uint8Array, length: number) => number;
  readonly write: (fd: number, bytes: Uint8Array, length: number) => number;
  readonly close: (fd: number) => number;
  readonly flock: (fd: number, operation: number) => number;
  readonly syncfs: (fd: number) => number;
  readonly ioctl: (fd: number, request: number, argument: Uint8Array) => number;
  readonly ioctlNumber: (fd: number, request: number, argument: number) => number;
  readonly chmodNoFollow: (directory: number, path: Uint8Array, mode: number, flags: number) => number;
  readonly mknod: (path: Uint8Array, mode: number, device: number) => number;
  readonly statfs: (path: Uint8Array, result: Uint8Array) => number;
  readonly utimensat: (directory: number, path: Uint8Array, times: Uint8Array, flags: number) => number;
  readonly llistxattr: (path: Uint8Array, list: Uint8Array, size: number) => number;
  readonly lgetxattr: (path: Uint8Array, key: Uint8Array, value: Uint8Array, size: number) => number;
  readonly lsetxattr: (path: Uint8Array, key: Uint8Array, value: Uint8Array, size: number, flags: number) => number;
  readonly umount2: (path: Uint8Array, flags: number) => number;
  // By syscall(2), because older C libraries lack functions for these. The first argument is the call's number.
  readonly renameat2: (
    number: number,
    fromDirectory: number,
    from: Uint8Array,
    toDirectory: number,
    to: Uint8Array,
    flags: number,
  ) => number;
  readonly fsopen: (number: number, type: Uint8Array, flags: number) => number;
  readonly fsconfig: (
    number: number,
    context: number,
    command: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    extra: number,
  ) => number;
  readonly fsmount: (number: number, context: number, flags: number, attributes: number) => number;
  readonly openTree: (number: number, directory: number, path: Uint8Array, flags: number) => number;
  readonly mountSetAttributes: (
    number: number,
    directory: number,
    path: Uint8Array,
    flags: number,
    attributes: Uint8Array,
    size: number,
  ) => number;
  readonly moveMount: (
    number: number,
    fromDirectory: number,
    from: Uint8Array,
    toDirectory: number,
    to: Uint8Array,
    flags: number,
  ) => number;
}

let bound: Libc | undefined;

/**
 * The C library of this process, glibc or musl.
 *
 * @throws OsdeployError `unsupported` when neither is there.
 */
export function libc(): Libc {
  bound ??= bind();
  return bound;
}

function bind(): Libc {
  const library = findLibrary(["libc.so.6", `libc.musl-${muslArchitecture()}.so.1`, null], ["syncfs"]);
  if (library === undefined) {
    throw new OsdeployError("unsupported", "Cannot call the kernel: the C library was not found");
  }
  return {
    open: library.func("open", "int", ["void *", "int", "uint"]),
    read: library.func("read", "int64", ["int", "void *", "size_t"]),
    write: library.func("write", "int64", ["int", "void *", "size_t"]),
    close: library.func("close", "int", ["int"]),
    flock: library.func("flock", "int", ["int", "int"]),
    syncfs: library.func("syncfs", "int", ["int"]),
    ioctl: library.func("ioctl", "int", ["int", "ulong", "void *"]),
    ioctlNumber: library.func("ioctl", "int", ["int", "ulong", "ulong"]),
    chmodNoFollow: library.func("fchmodat", "int", ["int", "void *", "uint", "int"]),
    mknod: library.func("mknod", "int", ["void *", "uint", "uint64"]),
    statfs: library.func("statfs", "int", ["void *", "void *"]),
    utimensat: library.func("utimensat", "int", ["int", "void *", "void *", "int"]),
    llistxattr: library.func("llistxattr", "int64", ["void *", "void *", "size_t"]),
    lgetxattr: library.func("lgetxattr", "int64", ["void *", "void *", "void *", "size_t"]),
    lsetxattr: library.func("lsetxattr", "int", ["void *", "void *", "void *", "size_t", "int"]),
    umount2: library.func("umount2", "int", ["void *", "int"]),
    renameat2: library.func("syscall", "int64", ["int64", "int64", "void *", "int64", "void *", "int64"]),
    fsopen: library.func("syscall", "int64", ["int64", "void *", "int64"]),
    fsconfig: library.func("syscall", "int64", ["int64", "int64", "int64", "void *", "void *", "int64"]),
    fsmount: library.func("syscall", "int64", ["int64", "int64", "int64", "int64"]),
    openTree: library.func("syscall", "int64", ["int64", "int64", "void *", "int64"]),
    mountSetAttributes: library.func("syscall", "int64", ["int64", "int64", "void *", "int64", "void *", "int64"]),
    moveMount: library.func("syscall", "int64", ["int64", "int64", "void *", "int64", "void *", "int64"]),
  };
}

function muslArchitecture(): string {
  return process.arch === "arm64" ? "aarch64" : "x86_64";
}

/** Stands for the working directory where a call wants a directory's descriptor. */
export const atWorkingDirectory = -100;
/** Makes a call act on a symlink itself. */
export const atSymlinkNoFollow = 0x100;

/** The name of the errno of the call that just failed. Anything else that runs between may change it. */
export function lastErrno(): string {
  return errnoName(foreign().errno());
}

/** Takes the answer of a C function that says -1 on failure. */
export function checked(answer: number, call: FailedCall): number {
  if (answer < 0) throw systemCallError(call, lastErrno());
  return answer;
}

/**
 * `path` as C takes it: its bytes, then NUL.
 *
 * @throws OsdeployError `bad-format` when it holds a NUL itself, and so would name something else.
 */
export function toCString(path: ByteString): Buffer {
  refuseNul(path);
  return Buffer.from(`${path}\0`, "latin1");
}

/** Room for the paths of a call: the longest that the kernel takes, twice. */
const pathRoom = [Buffer.alloc(4096), Buffer.alloc(4096)] as const;

/**
 * The same in memory that the next call with this `place` uses again, for calls that are made ten thousands of times. A
 * path that is too long for the kernel gets memory of its own, and the kernel's answer.
 *
 * @throws OsdeployError `bad-format` when it holds a NUL itself.
 */
export function asCString(path: ByteString, place: 0 | 1 = 0): Buffer {
  const room = pathRoom[place];
  if (path.length >= room.length) return toCString(path);
  refuseNul(path);
  room[room.write(path, "latin1")] = 0;
  return room;
}

/** @throws OsdeployError `bad-format` when `path` holds a NUL byte: the kernel would take it for the end. */
export function refuseNul(path: ByteString): void {
  if (path.includes("\0")) {
    throw new OsdeployError("bad-format", `Cannot use the path ${JSON.stringify(toText(path))}: it holds a NUL byte`);
  }
}
