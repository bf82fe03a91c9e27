import type { ByteString } from "../core/bytes/byte-string.ts";
import { verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { type ErofsImage, readErofsImage } from "../core/erofs/reader.ts";
import { OsdeployError } from "../core/errors.ts";
import { dumpLines } from "../core/tree/dump-writer.ts";
import { backingPaths, listTree } from "../core/tree/tree-listing.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import type { System } from "./system.ts";

/** Images that were made by mkcomposefs or osdeploy, as files. */
export interface ComposefsImagesRequest {
  readonly images: readonly Path[];
  /** Only these names of the root, and what is below them; all when it is empty. */
  readonly filter: readonly ByteString[];
}

/** Lines, each with its newline. */
export type Lines = Iterable<ByteString>;

/** The trees of composefs images as composefs-dump(5) text, one after the other. */
export async function dumpComposefs(system: System, request: ComposefsImagesRequest): Promise<Lines> {
  const images = loadImages(system.linux.files, request);
  return concat(images.map(({ tree, directorySizes }) => dumpLines(tree, { directorySizes })));
}

/** The names in composefs images, with what each is. */
export async function listComposefs(system: System, request: ComposefsImagesRequest): Promise<Lines> {
  return concat(loadImages(system.linux.files, request).map(({ tree }) => listTree(tree)));
}

/** The objects that composefs images need, over all images once. */
export async function composefsObjects(system: System, request: ComposefsImagesRequest): Promise<Lines> {
  const images = loadImages(system.linux.files, request);
  return backingPaths(images.map(({ tree }) => tree)).map(asLine);
}

/** Those of them that are not in `baseDirectory`. */
export async function missingComposefsObjects(
  system: System,
  request: ComposefsImagesRequest & { readonly baseDirectory: Path },
): Promise<Lines> {
  const { files } = system.linux;
  const paths = backingPaths(loadImages(files, request).map(({ tree }) => tree));
  return paths.filter((path) => files.lstatIfExists(childPath(request.baseDirectory, path)) === undefined).map(asLine);
}

/** The fs-verity sha256 digest of each file: the kernel's where it is sealed, else computed. */
export async function measureFiles(
  system: System,
  request: { readonly paths: readonly Path[] },
): Promise<readonly ObjectId[]> {
  const { files } = system.linux;
  return request.paths.map(
    (path) => files.measureVerity(path, "sha256") ?? verityDigest("sha256", files.readFile(path, imageLimitBytes)),
  );
}

const imageLimitBytes = 2 * 1024 * 1024 * 1024;

function loadImages(files: LinuxFiles, { images, filter }: ComposefsImagesRequest): readonly ErofsImage[] {
  const rootEntries = filter.length === 0 ? undefined : new Set(filter);
  return images.map((path) => loadImage(files, path, rootEntries));
}

/** Says which file it is about, in composefs-info's words. */
function loadImage(files: LinuxFiles, path: Path, rootEntries: ReadonlySet<ByteString> | undefined): ErofsImage {
  const bytes = openImage(files, path);
  try {
    return readErofsImage(bytes, { view: "composefs-info", ...(rootEntries && { rootEntries }) });
  } catch (cause) {
    if (!(cause instanceof OsdeployError)) throw cause;
    throw new OsdeployError("bad-format", `Failed to load '${path}': Invalid argument`, { cause });
  }
}

function openImage(files: LinuxFiles, path: Path): Uint8Array {
  try {
    return files.readFile(path, imageLimitBytes);
  } catch (cause) {
    if (!(cause instanceof OsdeployError && cause.code === "not-found")) throw cause;
    throw new OsdeployError("not-found", `Failed to open '${path}': No such file or directory`, { cause });
  }
}

function asLine(path: ByteString): ByteString {
  return `${path}\n` as ByteString;
}

function* concat(parts: readonly Lines[]): Generator<ByteString> {
  for (const part of parts) yield* part;
}
