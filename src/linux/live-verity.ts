import { toHex } from "../core/bytes/hex.ts";
import { type ObjectId, parseObjectId, type VerityAlgorithm } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import { systemCallError } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";
import type { LinuxFiles, Path } from "./linux.ts";
import { liveNames } from "./live-names.ts";
import { liveOpenFiles } from "./live-open-files.ts";

/**
 * The requests of ioctl(2) used here.
 *
 * @see https://www.kernel.org/doc/html/latest/filesystems/fsverity.html
 * @see https://man7.org/linux/man-pages/man2/FS_IOC_GETFLAGS.2const.html
 */
export const ioctls = {
  /** _IOW(0x94, 9, int) */
  clone: 0x40049409,
  /** _IOR('f', 1, long) */
  getFlags: 0x80086601,
  /** _IOW('f', 2, long) */
  setFlags: 0x40086602,
  /** _IOW('f', 133, struct fsverity_enable_arg) */
  enableVerity: 0x40806685,
  /** _IOWR('f', 134, struct fsverity_digest) */
  measureVerity: 0xc0046686,
} as const;

const algorithmNumbers: Readonly<Record<VerityAlgorithm, number>> = { sha256: 1, sha512: 2 };
const verityBlockBytes = 4096;

/** What kernels and file systems without fs-verity answer. */
const noVerity: ReadonlySet<string> = new Set(["ENOTSUP", "ENOTTY", "ENOSYS"]);

/** What they answer that cannot share blocks: at all, or between these two files. */
const noClone: ReadonlySet<string> = new Set(["ENOTSUP", "ENOTTY", "ENOSYS", "EXDEV", "EINVAL"]);

/** The calls that need the help of the file system. */
export const liveVerity: Pick<LinuxFiles, "cloneFile" | "takeProtection" | "enableVerity" | "measureVerity"> = {
  cloneFile,
  takeProtection,
  enableVerity: (path, algorithm) => {
    const argument = enableArgument(algorithm);
    return withOpenFile(path, (fd) => {
      for (let tries = 1; ; tries++) {
        if (libc().ioctl(fd, ioctls.enableVerity, argument) === 0) return true;
        const errno = lastErrno();
        const meaning = meaningOfRefusedSeal(errno, tries);
        if (meaning === "failed") throw systemCallError({ verb: "seal", path }, errno);
        if (meaning !== "again") return meaning === "sealed";
        sleep(10 * tries);
      }
    });
  },
  measureVerity: (path, algorithm) =>
    withOpenFile(path, (fd) => {
      const digest = emptyDigest();
      if (libc().ioctl(fd, ioctls.measureVerity, digest) === 0) return readDigest(digest, algorithm);
      const errno = lastErrno();
      if (isUnsealed(errno)) return undefined;
      throw systemCallError({ verb: "measure", path }, errno);
    }),
};

function cloneFile(source: Path, target: Path, permissions: number): boolean {
  const answer = withOpenFile(source, (from) => {
    const to = liveOpenFiles.open(target, "create", permissions);
    try {
      return libc().ioctlNumber(to, ioctls.clone, from) === 0 ? "done" : lastErrno();
    } finally {
      liveOpenFiles.close(to);
    }
  });
  if (answer === "done") return true;
  liveNames.unlink(target);
  if (noClone.has(answer)) return false;
  throw systemCallError({ verb: "clone", path: source, to: target }, answer);
}

/** FS_IMMUTABLE_FL and FS_APPEND_FL. */
const protectionFlags = 0x10 | 0x20;

function takeProtection(path: Path): boolean {
  const flags = new Uint8Array(8);
  const fields = new DataView(flags.buffer);
  try {
    return withOpenFile(path, (fd) => {
      if (libc().ioctl(fd, ioctls.getFlags, flags) !== 0) return false;
      // The kernel reads and writes 32 bits, whatever the numbers of the requests say.
      const before = fields.getUint32(0, true);
      if ((before & protectionFlags) === 0) return false;
      fields.setUint32(0, before & ~protectionFlags, true);
      return libc().ioctl(fd, ioctls.setFlags, flags) === 0;
    });
  } catch (error) {
    if (error instanceof OsdeployError) return false;
    throw error;
  }
}

function withOpenFile<Result>(path: Path, action: (fd: ReturnType<LinuxFiles["open"]>) => Result): Result {
  const fd = liveOpenFiles.open(path, "read");
  try {
    return action(fd);
  } finally {
    liveOpenFiles.close(fd);
  }
}

/**
 * `struct fsverity_enable_arg`: version, algorithm, block size, salt size (32 bits each), salt, signature size, reserved,
 * signature, reserved. No salt, no signature: an object's name depends on its content alone.
 */
export function enableArgument(algorithm: VerityAlgorithm): Uint8Array {
  const argument = new Uint8Array(128);
  const fields = new DataView(argument.buffer);
  fields.setUint32(0, 1, true);
  fields.setUint32(4, algorithmNumbers[algorithm], true);
  fields.setUint32(8, verityBlockBytes, true);
  return argument;
}

/** `struct fsverity_digest` with room for the longest digest: algorithm, size (16 bits each), digest. */
export function emptyDigest(): Uint8Array {
  const digest = new Uint8Array(4 + 64);
  new DataView(digest.buffer).setUint16(2, 64, true);
  return digest;
}

/** The digest in a filled `struct fsverity_digest`; undefined when it was made with another algorithm. */
export function readDigest(digest: Uint8Array, algorithm: VerityAlgorithm): ObjectId | undefined {
  const fields = new DataView(digest.buffer, digest.byteOffset, digest.byteLength);
  if (fields.getUint16(0, true) !== algorithmNumbers[algorithm]) return undefined;
  return parseObjectId(toHex(digest.subarray(4, 4 + fields.getUint16(2, true))), algorithm);
}

const mostTries = 5;

/**
 * What it means that the kernel refused to seal a file, at the `tries`th time.
 *
 * ETXTBSY: a child process that was forked while the file was open for writing holds it open until it has called exec,
 * which is over in milliseconds. EINTR: a signal during a long seal. EEXIST: the file is sealed.
 */
export function meaningOfRefusedSeal(errno: string, tries: number): "sealed" | "cannot" | "again" | "failed" {
  if (errno === "EEXIST") return "sealed";
  if (noVerity.has(errno)) return "cannot";
  return errno === "EINTR" || (errno === "ETXTBSY" && tries < mostTries) ? "again" : "failed";
}

/** Whether an errno of measuring says that there is nothing to measure. */
export function isUnsealed(errno: string): boolean {
  return errno === "ENODATA" || noVerity.has(errno);
}

function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
