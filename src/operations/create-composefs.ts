import { fromBytes } from "../core/bytes/byte-string.ts";
import { verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { writeErofs } from "../core/erofs/writer.ts";
import { OsdeployError } from "../core/errors.ts";
import { maxInlineBytes } from "../core/tar/tar-scanner.ts";
import { parseAnyDump } from "../core/tree/dump-digests.ts";
import type { FileContent, FileTree } from "../core/tree/inode.ts";
import { walkTree } from "../core/tree/walk-tree.ts";
import { maxXattrValueLength, XattrBudget } from "../core/tree/xattr-budget.ts";
import { readRootDirectory } from "../image-source/root-directory.ts";
import { inForeignWords } from "../linux/errno.ts";
import { readToEnd } from "../linux/file-content.ts";
import type { Fd, FileStat, LinuxFiles, Path } from "../linux/linux.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import { ContentThreads } from "./content-threads.ts";
import { ImageOutput } from "./image-output.ts";
import type { System } from "./system.ts";

/** Where the tree comes from. */
export type ComposefsSource =
  | { readonly kind: "dump"; readonly bytes: Uint8Array; readonly strict: boolean }
  | { readonly kind: "dump-file"; readonly path: Path; readonly strict: boolean }
  | {
      readonly kind: "directory";
      readonly path: Path;
      /** Where contents of more than 64 bytes are copied to. */
      readonly digestStore: Path | undefined;
      readonly useEpoch: boolean;
      readonly skipDevices: boolean;
      readonly xattrs: "all" | "user" | "none";
    };

export interface CreateComposefsRequest {
  readonly source: ComposefsSource;
  /** The format version, or a range; see `writeErofs`. */
  readonly version: { readonly min: number; readonly max: number };
  /** Where the image is written to; undefined when only its bytes or its digest are wanted. */
  readonly output: Path | undefined;
}

export interface CreateComposefsResult {
  /** The image's fs-verity digest, which is computed when it is asked for. */
  readonly digest: ObjectId;
  readonly image: Uint8Array;
}

/**
 * Makes a composefs image as mkcomposefs does: from a dump, or from a directory whose contents are named by digest. Errors
 * come in the order in which mkcomposefs finds them, and in its words.
 */
export async function createComposefs(system: System, request: CreateComposefsRequest): Promise<CreateComposefsResult> {
  const output = request.output === undefined ? undefined : new ImageOutput(system.linux, request.output);
  try {
    const image = writeErofs(await readSource(system, request.source), { version: request.version });
    output?.commit(image);
    return new CreatedImage(image);
  } finally {
    output?.close();
  }
}

class CreatedImage implements CreateComposefsResult {
  readonly image: Uint8Array;

  constructor(image: Uint8Array) {
    this.image = image;
  }

  get digest(): ObjectId {
    return verityDigest("sha256", this.image, multiBufferHasher("sha256"));
  }
}

/** More than this no program takes as a dump in one piece. */
const dumpLimitBytes = 2 * 1024 * 1024 * 1024;

async function readSource(system: System, source: ComposefsSource): Promise<FileTree> {
  const { files } = system.linux;
  switch (source.kind) {
    case "dump":
      return readDump(system, source.bytes, source);
    case "dump-file":
      return readDump(system, readDumpFile(files, source.path), source);
    case "directory":
      return readDirectory(system, source);
  }
}

function readDump(system: System, bytes: Uint8Array, options: { readonly strict: boolean }): FileTree {
  const { tree, cutDigests } = parseAnyDump(bytes, options);
  if (cutDigests > 0) {
    const message = `${cutDigests} digests of the dump have more than 64 digits; only the first 64 are taken`;
    system.progress({ kind: "warning", message });
  }
  return tree;
}

/** Forky's mkcomposefs really closes the quote as it opens it. */
function readDumpFile(files: LinuxFiles, path: Path): Uint8Array {
  let fd: Fd;
  try {
    fd = files.open(path, "input");
  } catch (cause) {
    throw inForeignWords(`open \`${path}\``, cause);
  }
  try {
    return readToEnd(files, fd, dumpLimitBytes);
  } catch (cause) {
    if (!(cause instanceof OsdeployError && cause.code === "system")) throw cause;
    throw new OsdeployError("system", "Error reading from file", { cause });
  } finally {
    files.close(fd);
  }
}

type DirectorySource = Extract<ComposefsSource, { readonly kind: "directory" }>;

async function readDirectory({ linux: { files }, importThreads }: System, source: DirectorySource): Promise<FileTree> {
  checkRoot(files, source.path);
  const contents = new ContentThreads(files, source.digestStore, importThreads);
  try {
    const tree = walkDirectory(files, source, contents);
    await contents.finish().catch((cause: unknown) => {
      throw inForeignWords(contentFailure, cause);
    });
    return tree;
  } finally {
    await contents.close();
  }
}

function walkDirectory(files: LinuxFiles, source: DirectorySource, contents: ContentThreads): FileTree {
  // An error that is in these words already stays as it is.
  const failureAt = (path: Path, cause: unknown) => inForeignWords(`error accessing ${path}`, cause);
  try {
    const tree = readRootDirectory(files, source.path, {
      contentOf: (path, { sizeBytes }) =>
        sizeBytes > maxInlineBytes ? contents.add({ path, sizeBytes }) : readInline(files, path),
      hardLinks: "ignore",
      devices: source.skipDevices ? "skip" : "keep",
      xattrs: source.xattrs,
      times: source.useEpoch ? "epoch" : "keep",
      mounts: "enter",
      vanished: "refuse",
      failureAt,
    });
    checkXattrs(tree, source.path);
    return tree;
  } catch (cause) {
    throw failureAt(source.path, cause);
  }
}

/** mkcomposefs gives an inode its xattrs one by one, and tells of the first that does not fit; images have room for more. */
function checkXattrs(tree: FileTree, root: Path): void {
  for (const { path, inode } of walkTree(tree)) {
    const budget = new XattrBudget();
    for (const [key, value] of inode.xattrs) {
      if (budget.set(key, value)) continue;
      const reason = value.length > maxXattrValueLength ? "Invalid argument" : "Numerical result out of range";
      const place = path === "/" ? root : `${root.replace(/\/$/, "")}${path}`;
      throw new OsdeployError("bad-format", `error accessing ${place}: ${reason}`);
    }
  }
}

/** mkcomposefs does not say of which file. */
const contentFailure = "error computing digest";

function readInline(files: LinuxFiles, path: Path): FileContent {
  try {
    return { kind: "inline", bytes: fromBytes(files.readFile(path, maxInlineBytes)) };
  } catch (cause) {
    throw inForeignWords(contentFailure, cause);
  }
}

function checkRoot(files: LinuxFiles, path: Path): void {
  let stat: FileStat;
  try {
    stat = files.lstat(path);
  } catch (cause) {
    throw inForeignWords(`error accessing ${path}`, cause);
  }
  // mkcomposefs takes anything for a root, and finds out when it writes.
  if (stat.kind !== "directory") throw new OsdeployError("bad-format", "cannot write file: Not a directory");
}
