import { toText } from "../core/bytes/byte-string.ts";
import { decodeText } from "../core/bytes/utf8.ts";
import type { VerityAlgorithm } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { featureAgainstWriting, parseRepoMeta, type RepoMeta } from "./meta-file.ts";
import { detectOldFormat, upgradeOldFormat } from "./old-format.ts";
import { metaPath } from "./repo-paths.ts";
import { removeDeadStaging } from "./staging-leftovers.ts";
import { type RepoLinux, type TemporaryPrefix, unusedPath } from "./temporary-name.ts";

/**
 * What a handle is for: `read` looks, `write` adds, `exclusive` may take away. Readers and writers work side by side,
 * because objects never change and names are replaced by one rename; `exclusive` is alone.
 */
export type RepoAccess = "read" | "write" | "exclusive";

/** A handle that may add. */
export type WritableRepo = Repo<"write" | "exclusive">;
/** A handle that may take away: nobody else holds one, in no process. */
export type ExclusiveRepo = Repo<"exclusive">;

/**
 * An open repo. To hold it is to hold its lock, an flock on its directory as composefs-rs takes it, until {@link close}.
 *
 * Two handles in one process count as two for the lock: an exclusive one waits for the other for ever, so an operation
 * opens one and hands it on.
 */
export class Repo<out Access extends RepoAccess = RepoAccess> {
  readonly files: LinuxFiles;
  readonly path: Path;
  readonly access: Access;
  readonly meta: RepoMeta;
  /** Whether every object must be sealed with fs-verity. Decided at init, read off the seal of `meta.json`. */
  readonly secure: boolean;
  /** Whether there is no `meta.json`: made by composefs-rs before 0.7, and only open for reading. */
  readonly oldFormat: boolean;
  readonly #linux: RepoLinux;
  readonly #fd: Fd;

  /** Not to be called but by {@link openRepo}, which takes the lock first. */
  constructor(linux: RepoLinux, state: RepoState<Access>) {
    this.#linux = linux;
    this.#fd = state.fd;
    this.files = linux.files;
    this.path = state.path;
    this.access = state.access;
    this.meta = state.meta;
    this.secure = state.secure;
    this.oldFormat = state.oldFormat;
  }

  /** What names the objects. */
  get algorithm(): VerityAlgorithm {
    return this.meta.algorithm;
  }

  /** Makes all that was written to the repo's file system durable. */
  sync(): void {
    this.files.syncFileSystem(this.#fd);
  }

  /** A path in `directory` that nobody uses. */
  unusedPath(directory: Path, prefix: TemporaryPrefix | ""): Path {
    return unusedPath(this.#linux, directory, prefix);
  }

  /** Gives the lock back. */
  close(): void {
    this.files.close(this.#fd);
  }
}

interface RepoState<Access extends RepoAccess> {
  readonly fd: Fd;
  readonly path: Path;
  readonly access: Access;
  readonly meta: RepoMeta;
  readonly secure: boolean;
  readonly oldFormat: boolean;
}

/**
 * Opens the repo at `path` and takes its lock: shared for reading and writing, exclusive for taking away. A repo of the
 * old format is upgraded in place when it is not just for reading. Opening for more than reading removes what dead runs
 * left in the staging directory.
 *
 * With `wait` the thread sleeps in the kernel until the lock is free; without, a taken lock is an error.
 *
 * @throws OsdeployError `not-found` when there is no repo; `busy` when the lock is taken and `wait` is false;
 * `bad-format` when meta.json is damaged; `unsupported` when the repo needs a newer osdeploy;
 * `permission-denied` when the file system is read-only and `access` is not "read".
 */
export function openRepo<Access extends RepoAccess>(
  linux: RepoLinux,
  path: Path,
  options: { readonly access: Access; readonly wait: boolean },
): Repo<Access> {
  const fd = openDirectory(linux.files, path);
  try {
    lockRepo(linux.files, fd, {
      path,
      kind: options.access === "exclusive" ? "exclusive" : "shared",
      wait: options.wait,
    });
    const writes = options.access !== "read";
    if (writes) checkWritable(linux.files, path);
    const state = readState(linux.files, path) ?? openOldFormat(linux, path, { fd, upgrade: writes });
    if (writes) checkFeatures(state.meta, path);
    const repo = new Repo(linux, { ...state, fd, path, access: options.access });
    if (writes) removeDeadStaging(linux.files, path);
    return repo;
  } catch (error) {
    linux.files.close(fd);
    throw error;
  }
}

/** What a repo's own files say about it. */
interface KnownState {
  readonly meta: RepoMeta;
  readonly secure: boolean;
  readonly oldFormat: boolean;
}

/** `meta.json` is a few hundred bytes. */
const metaLimitBytes = 64 * 1024;

/** What meta.json says, and whether it is sealed; undefined where there is none. */
export function readState(files: LinuxFiles, path: Path): KnownState | undefined {
  const metaFile = metaPath(path);
  if (files.lstatIfExists(metaFile) === undefined) return undefined;
  const meta = parseMeta(decodeText(readMeta(files, path)), path);
  const secure =
    files.measureVerity(metaFile, "sha512") !== undefined || files.measureVerity(metaFile, "sha256") !== undefined;
  return { meta, secure, oldFormat: false };
}

function parseMeta(text: string, path: Path): RepoMeta {
  try {
    return parseRepoMeta(text);
  } catch (cause) {
    if (!(cause instanceof OsdeployError)) throw cause;
    const repo = toText(path);
    const facts = { ...cause.facts, repo };
    throw new OsdeployError(cause.code, `Cannot open repo "${repo}": ${cause.message}`, { facts, cause });
  }
}

/** A kernel without fs-verity opens no sealed file (EOPNOTSUPP), that of a live system for example. */
function readMeta(files: LinuxFiles, path: Path): Uint8Array {
  try {
    return files.readFile(metaPath(path), metaLimitBytes);
  } catch (cause) {
    if (!(cause instanceof OsdeployError && cause.facts["errno"] === "ENOTSUP")) throw cause;
    const state = "it is sealed with fs-verity, which this kernel does not have";
    throw new OsdeployError("unsupported", `Cannot open repo "${toText(path)}": ${state}`, {
      facts: { repo: toText(path), hint: "Start a system whose kernel has fs-verity (CONFIG_FS_VERITY)" },
      cause,
    });
  }
}

/** Opens the directory of a repo, to lock it. */
export function openDirectory(files: LinuxFiles, path: Path): Fd {
  try {
    return files.open(path, "directory");
  } catch (cause) {
    if (!(cause instanceof OsdeployError && cause.code === "not-found")) throw cause;
    const isOther = cause.facts["errno"] === "ENOTDIR";
    throw noRepo(path, isOther ? "it is not a directory" : "there is no such directory", cause);
  }
}

/** Takes the lock of the repo at `path` or says that it is taken. */
export function lockRepo(
  files: LinuxFiles,
  fd: Fd,
  options: { readonly path: Path; readonly kind: "shared" | "exclusive"; readonly wait: boolean },
): void {
  if (files.lock(fd, options.kind, { wait: options.wait })) return;
  const holder = options.kind === "shared" ? "a garbage collection holds its lock" : "another operation uses it";
  throw new OsdeployError("busy", `Cannot open repo "${toText(options.path)}": ${holder}`, {
    facts: { repo: toText(options.path), lock: options.kind },
  });
}

function openOldFormat(
  linux: RepoLinux,
  path: Path,
  options: { readonly fd: Fd; readonly upgrade: boolean },
): KnownState {
  const found = detectOldFormat(linux.files, path);
  if (found === undefined) throw noRepo(path, "it has neither meta.json nor objects");
  if (options.upgrade) upgradeOldFormat(linux, path, { fd: options.fd, found });
  return { ...found, oldFormat: !options.upgrade };
}

function checkWritable(files: LinuxFiles, path: Path): void {
  if (!files.space(path).readOnly) return;
  throw new OsdeployError("permission-denied", `Cannot write to repo "${toText(path)}": its file system is read-only`, {
    facts: { errno: "EROFS" },
  });
}

function checkFeatures(meta: RepoMeta, path: Path): void {
  const feature = featureAgainstWriting(meta);
  if (feature === undefined) return;
  const state = `it has the feature "${feature.slice(0, 80)}", which this version can only read`;
  throw new OsdeployError("unsupported", `Cannot write to repo "${toText(path)}": ${state}; use a newer osdeploy`, {
    facts: { repo: toText(path), feature: feature.slice(0, 80) },
  });
}

function noRepo(path: Path, state: string, cause?: unknown): OsdeployError {
  return new OsdeployError("not-found", `Cannot open repo "${toText(path)}": ${state}`, {
    facts: { repo: toText(path) },
    cause,
  });
}
