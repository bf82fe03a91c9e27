import { getSystemErrorMap } from "node:util";
import { type ByteString, toText } from "../core/bytes/byte-string.ts";
import { type ErrorCode, OsdeployError } from "../core/errors.ts";

/** What a failed system call was asked to do: `verb` in the infinitive, and the paths it was given. */
export interface FailedCall {
  readonly verb: string;
  readonly path: ByteString;
  /** The other path, of a call that takes two. */
  readonly to?: ByteString;
  /** Set where `path` is to be made: what is missing then is the directory above it. */
  readonly isNew?: true;
  /** What EINVAL says of this call, where that can be one thing only. */
  readonly invalid?: string;
}

interface Meaning {
  readonly code: ErrorCode;
  readonly words: string;
}

/** The errnos that callers act on, or that need better words than the C library's. All others are `system`. */
const meanings: Readonly<Record<string, Meaning>> = {
  ENOENT: { code: "not-found", words: "it does not exist" },
  ENOTDIR: { code: "not-found", words: "a part of the path is not a directory" },
  EEXIST: { code: "already-exists", words: "it already exists" },
  ENOTEMPTY: { code: "already-exists", words: "the directory is not empty" },
  EACCES: { code: "permission-denied", words: "permission denied" },
  EPERM: { code: "permission-denied", words: "operation not permitted" },
  EROFS: { code: "permission-denied", words: "the file system is read-only" },
  ENOSPC: { code: "no-space", words: "no space is left on the file system" },
  EDQUOT: { code: "no-space", words: "the disk quota is used up" },
  ENOTSUP: { code: "unsupported", words: "the file system does not support it" },
  ENOSYS: { code: "unsupported", words: "the kernel does not support it" },
  ENOTTY: { code: "unsupported", words: "the file system does not support it" },
  EBUSY: { code: "busy", words: "it is in use" },
  ETXTBSY: { code: "busy", words: "it is open for writing" },
  EISDIR: { code: "system", words: "it is a directory" },
  ELOOP: { code: "system", words: "it is a symbolic link, or there are too many of them on the way" },
  EXDEV: { code: "system", words: "the two paths are on different file systems" },
  EIO: { code: "system", words: "input/output error" },
  EMFILE: { code: "system", words: "too many files are open in this process" },
  ENODEV: { code: "system", words: "the kernel does not know this file system" },
  EUCLEAN: { code: "system", words: "the file system is damaged" },
  ENODATA: { code: "system", words: "there is no such attribute" },
};

/** Numbers of Linux that libuv, and so Node's table, has no names for. The same on x86-64 and arm64. */
const unnamed: ReadonlyMap<number, string> = new Map([
  [15, "ENOTBLK"],
  [61, "ENODATA"],
  [95, "ENOTSUP"],
  [117, "EUCLEAN"],
  [122, "EDQUOT"],
]);

/** The name of an errno, as `ENOENT`; `E` and the number where it has none here. */
export function errnoName(errno: number): string {
  return unnamed.get(errno) ?? getSystemErrorMap().get(-errno)?.[0] ?? `E${errno}`;
}

/** As `strerror` has them, for output that other programs' users know. */
const libraryTexts: Readonly<Record<string, string>> = {
  ENOENT: "No such file or directory",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  EEXIST: "File exists",
  EACCES: "Permission denied",
  EPERM: "Operation not permitted",
  EROFS: "Read-only file system",
  ENOSPC: "No space left on device",
  EFBIG: "File too large",
  EDQUOT: "Disk quota exceeded",
  EIO: "Input/output error",
  ELOOP: "Too many levels of symbolic links",
  ENAMETOOLONG: "File name too long",
  ENXIO: "No such device or address",
  ETXTBSY: "Text file busy",
  EMFILE: "Too many open files",
  ENFILE: "Too many open files in system",
  ENOMEM: "Cannot allocate memory",
  EINVAL: "Invalid argument",
  EBUSY: "Device or resource busy",
  ENOTSUP: "Operation not supported",
  EXDEV: "Invalid cross-device link",
  ENODEV: "No such device",
};

/**
 * An error as C programs tell it: `what` was done, a colon, and the C library's words for the errno behind `cause`; its
 * name where those are not known here. Anything but an error of a system call comes back as it is.
 */
export function inForeignWords(what: string, cause: unknown): unknown {
  const errno = cause instanceof OsdeployError ? cause.facts["errno"] : undefined;
  if (!(cause instanceof OsdeployError) || typeof errno !== "string") return cause;
  return new OsdeployError(cause.code, `${what}: ${libraryTexts[errno] ?? errno}`, { cause });
}

function wordsOf(name: string, { isNew, invalid }: FailedCall): string {
  if (name === "EINVAL" && invalid !== undefined) return invalid;
  if (name === "ENOENT" && isNew) return "the directory above it does not exist";
  const known = meanings[name]?.words;
  if (known !== undefined) return known;
  for (const [candidate, words] of getSystemErrorMap().values()) if (candidate === name) return words;
  return "the kernel refused";
}

/**
 * The error that a failed system call becomes: `Cannot VERB "PATH": REASON (ERRNO)`.
 *
 * `errno` is its name. The code follows the table in `LinuxFiles`; `facts` hold the errno's name and the path as text.
 */
export function systemCallError(call: FailedCall, errno: string, cause?: unknown): OsdeployError {
  const object = call.to === undefined ? quotePath(call.path) : `${quotePath(call.path)} to ${quotePath(call.to)}`;
  return new OsdeployError(
    meanings[errno]?.code ?? "system",
    `Cannot ${call.verb} ${object}: ${wordsOf(errno, call)} (${errno})`,
    { facts: { errno, path: showPath(asNamed(call.path)) }, cause },
  );
}

/**
 * A path as text for a person: bytes that are not UTF-8, control characters and characters that reorder a line appear
 * as escapes, so that a hostile name cannot paint over a terminal.
 */
export function showPath(path: ByteString): string {
  const text = toText(path);
  if (text.includes("\ufffd")) return path.replace(/[^\x20-\x7e]/g, (byte) => `\\x${hex(byte)}`);
  return text.replace(/[\p{C}\u2028\u2029]/gu, (character) => {
    const point = hex(character);
    return point.length === 2 ? `\\x${point}` : `\\u{${point}}`;
  });
}

function hex(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).padStart(2, "0");
}

function quotePath(path: ByteString): string {
  return `"${showPath(asNamed(path))}"`;
}

/** The path that somebody named: `/.` behind it only asks for what it leads to. */
function asNamed(path: ByteString): ByteString {
  return path.replace(/(?<=.)\/\.$/s, "") as ByteString;
}
