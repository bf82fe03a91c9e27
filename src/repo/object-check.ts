import { type BlockHasher, VerityHasher } from "../core/digest/fs-verity.ts";
import type { ObjectId, VerityAlgorithm } from "../core/digest/object-id.ts";
import { type ErrorCode, OsdeployError } from "../core/errors.ts";
import { readPieces, withOpen } from "../linux/file-content.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { objectPath } from "./repo-paths.ts";

/** What of a repo it takes to judge an object; plain data, so that it can be handed to a worker. */
export interface ObjectStore {
  readonly repoPath: Path;
  readonly algorithm: VerityAlgorithm;
  /** Whether every object must be sealed with fs-verity. */
  readonly secure: boolean;
}

/** Whether an object that is already in the repo can be relied on. */
export type ObjectState = "sound" | "damaged" | "missing";

/**
 * Judges the object `wanted.id` while its right content is at hand, in memory or in a file.
 *
 * This is where the rule "a file found under its final name after an unclean stop is trusted only after its bytes were
 * read" is kept. An unclean stop is one after which a name may be durable while its bytes are not: a power cut between
 * another program's `link` and its sync (composefs-rs names objects before it syncs), or a disk that lied. No mark tells
 * such an object from a good one, so none is looked for: an object is read, and in a secure repo measured by the kernel,
 * each time before something new relies on it. That is enough, because everything older got its link after a sync of all
 * that it refers to, and an object is never written again. What was read may be in memory only; the sync that precedes
 * every link makes it durable, as it is on the same file system. What nothing new relies on is fsck's to judge.
 */
export function judgeObject(
  files: LinuxFiles,
  store: ObjectStore,
  wanted: { readonly id: ObjectId; readonly content: RightContent; readonly scratch: Uint8Array },
): ObjectState {
  const path = objectPath(store.repoPath, wanted.id);
  const stat = files.lstatIfExists(path);
  if (stat === undefined) return "missing";
  if (stat.kind !== "regular" || stat.sizeBytes !== sizeOf(files, wanted.content)) return "damaged";
  if (!isVouchedFor(files, store, wanted.id)) return "damaged";
  const fd = openUnlessBroken(files, path);
  if (fd === undefined) return "damaged";
  try {
    return equalsContent(files, { fd, scratch: wanted.scratch }, wanted.content) ? "sound" : "damaged";
  } finally {
    files.close(fd);
  }
}

/** Whether the kernel measures the object to its name. Always so in an insecure repo, where it is not asked. */
export function isVouchedFor(files: LinuxFiles, store: ObjectStore, id: ObjectId): boolean {
  if (!store.secure) return true;
  const path = objectPath(store.repoPath, id);
  return unlessBroken(() => files.measureVerity(path, store.algorithm)) === id;
}

/** Errors by which an object is lost, and nothing else is wrong. */
const lossCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["system", "not-found"]);

/** Opens an object; undefined where there is none, or the disk cannot give it any more. */
export function openUnlessBroken(files: LinuxFiles, path: Path): Fd | undefined {
  return unlessBroken(() => files.open(path, "read"));
}

/** No such file, EIO and the like: the object is lost, and the right bytes are at hand; so it is repaired, and no error. */
function unlessBroken<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof OsdeployError && lossCodes.has(error.code)) return undefined;
    throw error;
  }
}

/** The bytes that an object must have. */
export type RightContent =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "file"; readonly path: Path };

/** The digest and size of a file, read once; `onPiece` sees every piece. */
export function digestFile(
  files: LinuxFiles,
  path: Path,
  options: {
    readonly algorithm: VerityAlgorithm;
    readonly hashBlocks: BlockHasher | undefined;
    readonly scratch: Uint8Array;
    readonly onPiece?: (piece: Uint8Array) => void;
  },
): { readonly id: ObjectId; readonly sizeBytes: number } {
  const hasher = new VerityHasher(options.algorithm, options.hashBlocks);
  let sizeBytes = 0;
  readWhole(files, { path, scratch: options.scratch }, (piece) => {
    hasher.update(piece);
    options.onPiece?.(piece);
    sizeBytes += piece.length;
  });
  return { id: hasher.digest(), sizeBytes };
}

/** Reads a file from its start to its end, piece by piece: each is a part of `scratch`, and valid only during its call. */
export function readWhole(
  files: LinuxFiles,
  file: { readonly path: Path; readonly scratch: Uint8Array },
  use: (piece: Uint8Array) => void,
): void {
  const { path, scratch } = file;
  withOpen(files, path, "read", (fd) => {
    for (;;) {
      const length = files.read(fd, scratch, { offset: 0, length: scratch.length });
      if (length === 0) return;
      use(scratch.subarray(0, length));
    }
  });
}

/**
 * Whether `bytes` equal those of an open file from `position` on; a file that ends before, or that the disk cannot read,
 * is not equal. `scratch` is room for one piece.
 */
export function equalsRange(
  files: LinuxFiles,
  range: { readonly fd: Fd; readonly position: number; readonly scratch: Uint8Array },
  bytes: Uint8Array,
): boolean {
  const { fd, position, scratch } = range;
  for (let at = 0; at < bytes.length; ) {
    const length = Math.min(scratch.length, bytes.length - at);
    const got = unlessBroken(() => files.read(fd, scratch, { offset: 0, length, position: position + at })) ?? 0;
    if (got === 0 || !equalBytes(scratch.subarray(0, got), bytes.subarray(at, at + got))) return false;
    at += got;
  }
  return true;
}

/**
 * Whether the file at `path` has just these bytes, which are fewer than `scratch` has room for; one that the disk cannot
 * give has not.
 */
export function holdsExactly(
  files: LinuxFiles,
  path: Path,
  wanted: { readonly bytes: Uint8Array; readonly scratch: Uint8Array },
): boolean {
  const { bytes, scratch } = wanted;
  // A byte more of room shows whether that is all.
  const got = unlessBroken(() => files.readStart(path, scratch, bytes.length + 1));
  return got === bytes.length && Buffer.compare(scratch.subarray(0, got), bytes) === 0;
}

/** Room to read an object to, piece by piece; one serves any number of objects, one after the other. */
export function newScratch(): Uint8Array {
  return new Uint8Array(256 * 1024);
}

/** Whether two arrays hold the same bytes; compared by the C library, not byte for byte here. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

function sizeOf(files: LinuxFiles, content: RightContent): number {
  return content.kind === "bytes" ? content.bytes.length : files.lstat(content.path).sizeBytes;
}

function equalsContent(
  files: LinuxFiles,
  object: { readonly fd: Fd; readonly scratch: Uint8Array },
  content: RightContent,
): boolean {
  if (content.kind === "bytes") return equalsRange(files, { ...object, position: 0 }, content.bytes);
  let position = 0;
  let equal = true;
  withOpen(files, content.path, "read", (right) =>
    readPieces(files, right, (piece) => {
      equal &&= equalsRange(files, { ...object, position }, piece);
      position += piece.length;
    }),
  );
  return equal;
}
