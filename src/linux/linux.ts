import type { ByteString } from "../core/bytes/byte-string.ts";
import type { ObjectId, VerityAlgorithm } from "../core/digest/object-id.ts";

/** A path as the kernel takes it: bytes without NUL. Relative paths start at the working directory. */
export type Path = ByteString;

/** An open file. Belongs to the process, so workers can be handed the number; who opened it closes it. */
export type Fd = number & { readonly __fd: true };

export type FileKind = "regular" | "directory" | "symlink" | "character-device" | "block-device" | "fifo" | "socket";

/** What `lstat` tells. */
export interface FileStat {
  readonly kind: FileKind;
  /** The low twelve bits of the mode. */
  readonly permissions: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  /** The device number as the kernel encodes it in 32 bits; 0 for what is no device. */
  readonly rdev: number;
  readonly sizeBytes: number;
  readonly mtimeSeconds: bigint;
  readonly mtimeNanoseconds: number;
  /** Which file this is, as `FILESYSTEM:INODE`: equal for two names of one inode, different for all others. */
  readonly identity: string;
}

export interface FileSystemSpace {
  readonly totalBytes: number;
  /** What an unprivileged process may still use. */
  readonly availableBytes: number;
  readonly availableInodes: number;
  readonly readOnly: boolean;
  /** `statfs.f_type`, for example 0xef53 for ext4. */
  readonly type: number;
}

export type OpenMode =
  /** An existing file, for reading; the last component may not be a symlink. */
  | "read"
  /** An existing file that a user named, for reading: symlinks are followed, and the other end of a FIFO is waited for. */
  | "input"
  /** A new file, for reading and writing; fails with `already-exists` when the name is taken. */
  | "create"
  /** An existing file, for writing at its end. */
  | "append"
  /** An existing file or block device, for reading and for `writeAt`; `busy` when a device is mounted or otherwise in use. */
  | "update"
  /** A directory, to be locked, synced, or for its file system. */
  | "directory";

/**
 * Everything that touches files. Synchronous, so that the same code runs on the main thread, in workers and under the
 * crashing fake.
 *
 * Errors are `OsdeployError`s that name the path: `not-found` (ENOENT, ENOTDIR), `already-exists` (EEXIST, ENOTEMPTY),
 * `permission-denied` (EACCES, EPERM, EROFS), `no-space` (ENOSPC, EDQUOT), `unsupported` (ENOTSUP, ENOSYS, ENOTTY),
 * `busy` (EBUSY, ETXTBSY), `system` for the rest; the errno's name is in `facts.errno`. A path with a NUL is `bad-format`.
 * Permissions are set exactly as given: the process's umask has no say.
 *
 * Two implementations: the live one, and a fake in `test/fakes` that keeps what is synced apart from what is not.
 */
export interface LinuxFiles {
  open(path: Path, mode: OpenMode, permissions?: number): Fd;
  close(fd: Fd): void;
  /** Reads into `target[offset…]`; at `position`, or at the file's own position when it is undefined. 0 at the end. */
  read(
    fd: Fd,
    target: Uint8Array,
    at: { readonly offset: number; readonly length: number; readonly position?: number },
  ): number;
  /** Writes all of `source` at the file's own position. */
  write(fd: Fd, source: Uint8Array): void;
  /** Writes all of `source` at `position`, which may lie behind the end: what is between reads as zeros, and takes no room. */
  writeAt(fd: Fd, source: Uint8Array, position: number): void;
  /** Cuts an open file to this size, or makes it longer: what is new reads as zeros, and takes no room. */
  setSize(fd: Fd, sizeBytes: number): void;
  /** `open` with "create", `write`, `close`, in one call: the hot path of the object store. */
  writeNewFile(path: Path, source: Uint8Array, permissions: number): void;
  /**
   * `open` with "read", one `read` to the start of `target`, `close`, in one call: the hot path of upgrades. Returns how many
   * bytes there were, at most `length`; a file that does not fill them has no more.
   */
  readStart(path: Path, target: Uint8Array, length: number): number;
  /** The whole file, at most `limitBytes`; more is `limit-exceeded`. */
  readFile(path: Path, limitBytes: number): Uint8Array;
  lstat(path: Path): FileStat;
  /** `lstat`, or undefined where there is nothing, also below what is no directory. */
  lstatIfExists(path: Path): FileStat | undefined;
  fstat(fd: Fd): FileStat;
  /** The names in a directory without `.` and `..`, in byte order. */
  readDirectory(path: Path): readonly ByteString[];
  readLink(path: Path): ByteString;
  /** The absolute path of what is at `path`, without symlinks, `.` and `..`. */
  realPath(path: Path): Path;
  makeDirectory(path: Path, permissions: number): void;
  removeDirectory(path: Path): void;
  unlink(path: Path): void;
  symlink(target: ByteString, path: Path): void;
  /** A further name for an existing file. */
  link(existing: Path, path: Path): void;
  rename(from: Path, to: Path, options?: { readonly replace: boolean }): void;
  /** Lets two existing names of one file system change places, at once. False where kernel or file system cannot. */
  exchange(one: Path, other: Path): boolean;
  /** Refuses symlinks with `unsupported`. */
  setPermissions(path: Path, permissions: number): void;
  setOwner(path: Path, uid: number, gid: number): void;
  /** Sets the time of content change, of the link itself for symlinks. */
  setTime(path: Path, seconds: bigint, nanoseconds: number): void;
  /** A device, FIFO or socket. `rdev` as in {@link FileStat}. */
  makeNode(path: Path, kind: FileKind, options: { readonly permissions: number; readonly rdev: number }): void;
  /** All extended attributes, of the link itself for symlinks. */
  xattrs(path: Path): ReadonlyMap<ByteString, ByteString>;
  setXattr(path: Path, key: ByteString, value: ByteString): void;
  space(path: Path): FileSystemSpace;
  /** The bytes of one file and the names in its directory, or the names in a directory, durable. */
  sync(fd: Fd): void;
  /** All that was written to the file system that holds `fd`, durable. */
  syncFileSystem(fd: Fd): void;
  /** Takes an flock on `fd` or, with `wait` false, says whether it could. */
  lock(fd: Fd, kind: "shared" | "exclusive", options: { readonly wait: boolean }): boolean;
  /** Makes `target`, a new file, share the blocks of `source`. False where the file system cannot (FICLONE). */
  cloneFile(source: Path, target: Path, permissions: number): boolean;
  /**
   * Takes from a regular file or directory the flags `i` and `a` of chattr(1), with which not even root can remove it. False
   * where it has none of them, or they cannot be taken.
   */
  takeProtection(path: Path): boolean;
  /** Seals the file with fs-verity. False where kernel or file system cannot. Sealing a sealed file is fine. */
  enableVerity(path: Path, algorithm: VerityAlgorithm): boolean;
  /** The kernel's own fs-verity digest; undefined when the file is not sealed, or sealed with another algorithm. */
  measureVerity(path: Path, algorithm: VerityAlgorithm): ObjectId | undefined;
}

/** Mounts. Only the live implementation can; the fake refuses with `unsupported`. */
export interface LinuxMounts {
  /**
   * Mounts a composefs root image at `target`, read-only: erofs, under an overlay with `objects` as data-only layer.
   * `verity` asks the kernel to check every file against its digest.
   */
  mountComposefs(options: {
    readonly image: Path;
    readonly objects: Path;
    readonly target: Path;
    readonly name: ByteString;
    readonly verity: boolean;
  }): void;
  unmount(target: Path): void;
  /**
   * The file system mounted at `path`, writable even where that mount is read-only, until it is closed. Nobody else sees
   * it: the running system's mount stays as it is.
   */
  openWritable(path: Path): WritableView;
}

/** A private, writable sight of a mounted file system. */
export interface WritableView {
  /** Where its top is, for this process and its threads only. */
  readonly path: Path;
  close(): void;
}

/** How a program ended. */
export interface ProgramResult {
  /** The exit status; 128 and the number of the signal for one that a signal ended. */
  readonly status: number;
  readonly stdout: Uint8Array;
  /** Control characters are still in it. */
  readonly stderr: string;
}

export interface ProgramOptions {
  /** Standard input; empty when not given. */
  readonly input?: Uint8Array;
  /** Variables besides PATH, HOME and LC_ALL=C; nothing else of this process's environment is handed on. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Longer runs are ended, which is an error of the code `system`. 60 seconds when not given. */
  readonly limitSeconds?: number;
}

/** Programs of the system, for what only they can do: making file systems, asking systemd. */
export interface LinuxPrograms {
  /**
   * Runs a program to its end; no shell is involved, and the first word is looked up in PATH.
   *
   * @throws OsdeployError `not-found` where there is no such program; any status is an answer.
   */
  run(words: readonly [string, ...string[]], options?: ProgramOptions): ProgramResult;
  /**
   * As `run`, while this process does other things and hears signals. An abort ends the program at once.
   *
   * @throws OsdeployError `interrupted` when it is aborted; as `run` does.
   */
  runAside(words: readonly [string, ...string[]], options?: AsideOptions): Promise<ProgramResult>;
  /**
   * Runs a program on this process's own terminal, or whatever its standard input and output are, to its end, while this
   * process can serve what it asks for. Gives the exit status as {@link ProgramResult} has it.
   *
   * @throws OsdeployError `not-found` as `run` does.
   */
  attach(words: readonly [string, ...string[]], options?: AttachOptions): Promise<number>;
  /**
   * Starts a program that goes on by itself, also after this process has ended: without a terminal, in a session of its
   * own, with nothing on standard input.
   *
   * @throws OsdeployError `not-found` as `run` does.
   */
  start(words: readonly [string, ...string[]], options: StartOptions): StartedProgram;
  /** Whether a program that was started, by this process or another, still runs. */
  isRunning(program: StartedProgram): boolean;
  /** Sends a signal to it. False where it has ended: nobody else who got its number is ever meant. */
  signal(program: StartedProgram, signal: "SIGTERM" | "SIGKILL"): boolean;
}

export interface AsideOptions extends ProgramOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface AttachOptions {
  /** Where its standard output goes: to this process's standard output when not given. */
  readonly output?: "stdout" | "stderr";
  /** Asks the program to end, with SIGTERM, when it is aborted. */
  readonly signal?: AbortSignal;
}

export interface StartOptions {
  /** The file at whose end its standard output and standard error are written. */
  readonly output: Path;
  /** As for `run`. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Which process: a number, and when it started, because the kernel gives numbers again. Can be kept in a file. */
export interface StartedProgram {
  readonly pid: number;
  /** Clock ticks since the machine's boot, as `/proc/PID/stat` has it. */
  readonly startTicks: number;
}

/** The clock and chance: what makes two runs differ. */
export interface LinuxClock {
  /** Milliseconds since 1970. */
  now(): number;
  /** A name of 16 random lower-case hex digits. */
  randomName(): ByteString;
}

/** The machine, as far as osdeploy touches it. Nothing outside `src/linux` calls the kernel or runs a program. */
export interface Linux {
  readonly files: LinuxFiles;
  readonly mounts: LinuxMounts;
  readonly programs: LinuxPrograms;
  readonly clock: LinuxClock;
  /** Gives back to the system what the C library keeps of memory that was freed, in all threads. Costs a millisecond or some. */
  readonly releaseMemory: () => void;
}
