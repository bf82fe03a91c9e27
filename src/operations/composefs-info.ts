import type { ByteString } from "../core/bytes/byte-string.ts";
import { VerityHasher } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { type ErofsImage, erofsLimitBytes, readErofsImage } from "../core/erofs/reader.ts";
import { OsdeployError } from "../core/errors.ts";
import { dumpLines } from "../core/tree/dump-writer.ts";
import { backingPaths, listTree } from "../core/tree/tree-listing.ts";
import { inForeignWords } from "../linux/errno.ts";
import { readPieces, readToEnd } from "../linux/file-content.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import type { System } from "./system.ts";

/** Images that were made by mkcomposefs or osdeploy, as files. */
export interface ComposefsImagesRequest {
  readonly images: readonly Path[];
  /** Only these names of the root, and what is below them; all when it is empty. */
  readonly filter: readonly ByteString[];
  /** The object directory, where one was named. */
  readonly baseDirectory?: Path | undefined;
}

/** Lines, each with its newline. Where an image cannot be read, those of the images before it still come. */
export type Lines = Iterable<ByteString>;

/** The trees of composefs images as composefs-dump(5) text, one after the other. */
export async function dumpComposefs(system: System, request: ComposefsImagesRequest): Promise<Lines> {
  return eachImage(system, request, ({ tree, directorySizes, directoryLinks }) =>
    dumpLines(tree, { directorySizes, directoryLinks, xattrOrder: "stored" }),
  );
}

/** The names in composefs images, with what each is. */
export async function listComposefs(system: System, request: ComposefsImagesRequest): Promise<Lines> {
  return eachImage(system, request, ({ tree }) => listTree(tree));
}

/** The objects that composefs images need, over all images once. */
export async function composefsObjects(system: System, request: ComposefsImagesRequest): Promise<Lines> {
  return neededObjects(system, request).map(asLine);
}

/** Those of them that are not in the base directory; without one it is all. */
export async function missingComposefsObjects(system: System, request: ComposefsImagesRequest): Promise<Lines> {
  const { files } = system.linux;
  const { baseDirectory } = request;
  const isMissing = (path: ByteString) =>
    baseDirectory === undefined || !canBeFound(files, childPath(baseDirectory, path));
  return neededObjects(system, request).filter(isMissing).map(asLine);
}

/** composefs-info follows symlinks, and does not ask why something cannot be found. */
function canBeFound(files: LinuxFiles, path: Path): boolean {
  try {
    if (files.lstat(path).kind === "symlink") files.realPath(path);
    return true;
  } catch (cause) {
    if (cause instanceof OsdeployError) return false;
    throw cause;
  }
}

/** The fs-verity sha256 digest of each file: the kernel's where it is sealed, else computed. */
export async function measureFiles(
  system: System,
  request: { readonly paths: readonly Path[] },
): Promise<Iterable<ObjectId>> {
  return measureEach(system.linux.files, request.paths);
}

function* measureEach(files: LinuxFiles, paths: readonly Path[]): Generator<ObjectId> {
  for (const path of paths) {
    const fd = openFile(files, path);
    try {
      const { kind } = files.fstat(fd);
      if (kind === "directory") {
        throw new OsdeployError("bad-format", `failed to measure '${path}': No data available`);
      }
      yield sealedDigest(files, path) ?? computedDigest(files, fd);
    } finally {
      files.close(fd);
    }
  }
}

/** Only a regular file under its own name is asked for its seal. */
function sealedDigest(files: LinuxFiles, path: Path): ObjectId | undefined {
  return files.lstat(path).kind === "regular" ? files.measureVerity(path, "sha256") : undefined;
}

function computedDigest(files: LinuxFiles, fd: Fd): ObjectId {
  const hasher = new VerityHasher("sha256", multiBufferHasher("sha256"));
  readPieces(files, fd, (piece) => hasher.update(piece));
  return hasher.digest();
}

function neededObjects({ linux }: System, request: ComposefsImagesRequest): readonly ByteString[] {
  checkBaseDirectory(linux.files, request.baseDirectory);
  return backingPaths(request.images.map((path) => loadImage(linux.files, path, request).tree));
}

function* eachImage(
  { linux }: System,
  request: ComposefsImagesRequest,
  linesOf: (image: ErofsImage) => Lines,
): Generator<ByteString> {
  checkBaseDirectory(linux.files, request.baseDirectory);
  for (const path of request.images) yield* linesOf(loadImage(linux.files, path, request));
}

/** composefs-info looks for it before anything else, whether the command needs it or not. */
function checkBaseDirectory(files: LinuxFiles, path: Path | undefined): void {
  if (path === undefined) return;
  try {
    // Not opened to be read: whoever may only look names up in it can use it.
    files.lstat(path === "" ? path : pathBelow(path, "."));
  } catch (cause) {
    // The line break is composefs-info's.
    throw inForeignWords(`Can't open basedir \`${path}\`\n`, cause);
  }
}

/** Says which file it is about, in composefs-info's words. */
function loadImage(files: LinuxFiles, path: Path, { filter }: ComposefsImagesRequest): ErofsImage {
  const bytes = readImage(files, path);
  try {
    return readErofsImage(bytes, {
      view: "composefs-info",
      ...(filter.length > 0 && { rootEntries: new Set(filter) }),
    });
  } catch (cause) {
    if (!(cause instanceof OsdeployError)) throw cause;
    throw new OsdeployError("bad-format", `Failed to load '${path}': Invalid argument`, { cause });
  }
}

function readImage(files: LinuxFiles, path: Path): Uint8Array {
  const fd = openFile(files, path);
  try {
    if (files.fstat(fd).kind !== "directory") return readToEnd(files, fd, erofsLimitBytes);
  } finally {
    files.close(fd);
  }
  // composefs-info maps its images into memory, which no directory can be.
  throw new OsdeployError("bad-format", `Failed to load '${path}': No such device`);
}

function openFile(files: LinuxFiles, path: Path): Fd {
  try {
    return files.open(path, "input");
  } catch (cause) {
    throw inForeignWords(`Failed to open '${path}'`, cause);
  }
}

function asLine(path: ByteString): ByteString {
  return `${path}\n` as ByteString;
}
