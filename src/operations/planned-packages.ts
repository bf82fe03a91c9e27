import { sha256Hex } from "../core/digest/sha256-hex.ts";
import { OsdeployError } from "../core/errors.ts";
import { findPackageDatabases, type PackageManager, parsePackages } from "../core/packages/package-databases.ts";
import { comparePackages, type InstalledPackage, type PackageChanges } from "../core/packages/package-list.ts";
import type { FileContent, FileTree } from "../core/tree/inode.ts";
import type { ImageSource } from "../image-source/image-source.ts";
import type { Repo } from "../repo/repo.ts";
import { unpackZstd } from "../repo/zstd-frames.ts";
import { isRefusal, readBlobPart } from "./blob-part.ts";
import { awaitedDigest } from "./held-contents.ts";
import type { ContentPlace, PlannedLayers } from "./planned-layers.ts";
import { sizeOf, type Untold, untoldBy } from "./planned-tree.ts";
import { contentLimitBytes, readContent } from "./read-content.ts";

/** Which packages change, as the databases of both images tell. */
export type PackagePlan =
  | (PackageChanges & { readonly kind: "known"; readonly managers: readonly PackageManager[] })
  | Untold;

/** Where the bytes of files are: in the repo, or still in the image's layers. */
export interface ContentPlaces {
  readonly repo: Repo;
  readonly source: ImageSource;
  readonly missing: PlannedLayers["missing"];
}

/**
 * Compares the packages of two trees. Of the new image no more is fetched than its databases, each a file among the parts that
 * a pull would fetch as well.
 */
export async function planPackages(places: ContentPlaces, before: FileTree, after: FileTree): Promise<PackagePlan> {
  try {
    const old = await readPackages(places, before);
    const now = await readPackages(places, after);
    const managers = [...new Set([...old.managers, ...now.managers])];
    const [unreadable] = [...now.unreadable, ...old.unreadable];
    if (unreadable !== undefined) return { kind: "unknown", reason: `nothing here reads /${unreadable}` };
    if (managers.length === 0) return { kind: "unknown", reason: "neither image has a package database" };
    return { kind: "known", managers, ...comparePackages(old.packages, now.packages) };
  } catch (error) {
    return isRefusal(error) ? { kind: "unknown", reason: error.message } : untoldBy(error);
  }
}

interface ReadPackages {
  readonly managers: readonly PackageManager[];
  readonly packages: readonly InstalledPackage[];
  readonly unreadable: readonly string[];
}

async function readPackages(places: ContentPlaces, tree: FileTree): Promise<ReadPackages> {
  const { databases, unreadable } = findPackageDatabases(tree);
  const packages: InstalledPackage[] = [];
  const left = { contentBytes: contentLimitBytes, packedBytes: contentLimitBytes };
  for (const { manager, file } of databases) {
    for (const each of parsePackages(manager, await readFile(places, file.content, left))) packages.push(each);
  }
  return { managers: databases.map(({ manager }) => manager), packages, unreadable };
}

/** What may still be read of all databases of an image, and what of it fetched. */
interface BytesLeft {
  contentBytes: number;
  packedBytes: number;
}

async function readFile(places: ContentPlaces, content: FileContent, left: BytesLeft): Promise<Uint8Array> {
  left.contentBytes -= sizeOf(content);
  if (left.contentBytes < 0) {
    throw new OsdeployError("limit-exceeded", "Cannot read the package database: it has more than 64 MiB");
  }
  const digest = awaitedDigest(content);
  if (digest === undefined) return readContent(places.repo, content);
  const place = places.missing.get(digest);
  if (place === undefined) throw new OsdeployError("not-found", "Cannot read the package database: no layer has it");
  // Of several layers that name the digest any may have been taken, also one that says another size.
  if (place.entry.sizeBytes !== sizeOf(content)) {
    throw new OsdeployError("bad-format", "Cannot read the package database: layers do not agree on its size");
  }
  return fetchContent(places.source, place, left);
}

/** Fetches one file out of a layer: its frames lie next to each other. What came is measured. */
async function fetchContent(source: ImageSource, { layer, entry }: ContentPlace, left: BytesLeft): Promise<Uint8Array> {
  const frames = entry.chunks.flatMap(({ frame }) => (frame === undefined ? [] : [frame]));
  const [first, last] = [frames[0], frames.at(-1)];
  const start = first?.offsetBytes ?? 0;
  const lengthBytes = last === undefined ? 0 : last.offsetBytes + last.lengthBytes - start;
  left.packedBytes -= lengthBytes;
  if (left.packedBytes < 0) {
    throw new OsdeployError("limit-exceeded", "Cannot fetch the package database: it is packed into more than 64 MiB");
  }
  const range = { offsetBytes: start, lengthBytes };
  const packed = lengthBytes === 0 ? new Uint8Array(0) : await readBlobPart(source, layer, range);
  const content = new Uint8Array(entry.sizeBytes);
  let at = 0;
  for (const { frame, sizeBytes } of entry.chunks) {
    if (frame !== undefined) {
      const from = frame.offsetBytes - start;
      const unpacked = unpackZstd(packed.subarray(from, from + frame.lengthBytes), sizeBytes);
      content.set(unpacked, at);
    }
    at += sizeBytes;
  }
  if (sha256Hex(content) === entry.digest) return content;
  throw new OsdeployError(
    "digest-mismatch",
    "Cannot use the package database: it is not the one that the layer promises",
  );
}
