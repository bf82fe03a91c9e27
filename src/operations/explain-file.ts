import type { ByteString } from "../core/bytes/byte-string.ts";
import { fromText, toText } from "../core/bytes/byte-string.ts";
import { verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId, VerityAlgorithm } from "../core/digest/object-id.ts";
import { readErofsImage } from "../core/erofs/reader.ts";
import { OsdeployError } from "../core/errors.ts";
import { diffTrees, type TreeChange } from "../core/tree/diff-trees.ts";
import { parseDump } from "../core/tree/dump-parser.ts";
import { dumpLines } from "../core/tree/dump-writer.ts";
import type { FileTree } from "../core/tree/inode.ts";
import { walkTree } from "../core/tree/walk-tree.ts";
import { readToEnd, withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { type ImageTrees, type TreeName, withWholeDigests } from "./image-trees.ts";

/** Lines of composefs-dump(5) about one path, without their newlines. */
export interface FirstDifference {
  readonly path: string;
  /** Empty where one of both does not have the path, or has it with other hard links. */
  readonly changes: readonly TreeChange[];
  readonly expected: string | null;
  readonly made: string | null;
}

/** A root image or dump that is what was expected, beside what was made. */
export interface ExplainedFile {
  readonly path: string;
  readonly kind: "root-image" | "dump";
  /** Of a root image: which version of the format it has. */
  readonly formatVersion: number | null;
  /** Of a root image, by the algorithm of the digests in it. */
  readonly rootImage: ObjectId | null;
  /** The tree of the image that is most like it. */
  readonly tree: TreeName;
  readonly differences: number;
  /** In byte order of the paths; null where both hold the same. */
  readonly first: FirstDifference | null;
}

/** The largest root image is far from it. */
const limitBytes = 2 * 1024 * 1024 * 1024 - 1;

/** Where EROFS has its magic, and what that is. */
const magicOffset = 1024;
const magic = [0xe2, 0xe1, 0xf5, 0xe0];

/**
 * Compares a root image or dump with the trees of an image, and tells where they part.
 *
 * @throws OsdeployError `not-found`; `bad-format` when the file is neither.
 */
export function explainFile(
  files: LinuxFiles,
  path: Path,
  { trees, algorithm }: { readonly trees: ImageTrees; readonly algorithm: VerityAlgorithm },
): ExplainedFile {
  const bytes = withOpen(files, path, "read", (fd) => readToEnd(files, fd, limitBytes));
  const isRootImage = magic.every((byte, at) => bytes[magicOffset + at] === byte);
  const image = isRootImage ? readErofsImage(bytes) : undefined;
  const expected = image?.tree ?? withWholeDigests(readDump(bytes, path));
  const itsAlgorithm = algorithmOf(expected) ?? algorithm;
  const compared = (["boot", "raw", "merged"] as const).flatMap((name) => {
    const made = trees.tree(name, itsAlgorithm);
    return made === undefined ? [] : [{ name, made, differences: diffTrees(expected, made) }];
  });
  const nearest = compared.reduce((best, each) => (count(each) < count(best) ? each : best));
  const [difference] = nearest.differences;
  const first =
    difference === undefined
      ? differenceOfLines(expected, nearest.made)
      : lineOfBoth(difference, expected, nearest.made);
  return {
    path: toText(path),
    kind: isRootImage ? "root-image" : "dump",
    formatVersion: image?.superblock.composefsVersion ?? null,
    rootImage: isRootImage ? verityDigest(itsAlgorithm, bytes) : null,
    tree: nearest.name,
    differences: Math.max(nearest.differences.length, first === null ? 0 : 1),
    first,
  };
}

/** What is wrong with a dump is said in words of composefs, which name no file. */
function readDump(bytes: Uint8Array, path: Path): FileTree {
  try {
    return parseDump(bytes);
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    const text = `Cannot read "${toText(path)}": it is no root image, and no dump of one (${error.message})`;
    throw new OsdeployError(error.code, text, { facts: error.facts, cause: error });
  }
}

function count({ differences }: { readonly differences: readonly unknown[] }): number {
  return differences.length;
}

/** By the length of the first digest; undefined where all content is inline. */
function algorithmOf(tree: FileTree): VerityAlgorithm | undefined {
  for (const { inode } of walkTree(tree)) {
    if (inode.kind !== "regular" || inode.content.kind !== "external") continue;
    if (inode.content.digest !== undefined) return inode.content.digest.length === 64 ? "sha256" : "sha512";
  }
  return undefined;
}

function lineOfBoth(
  { path, changes }: { readonly path: ByteString; readonly changes: readonly TreeChange[] },
  expected: FileTree,
  made: FileTree,
): FirstDifference {
  return { path: toText(path), changes, expected: lineOf(expected, path), made: lineOf(made, path) };
}

function lineOf(tree: FileTree, wanted: ByteString): string | null {
  const lines = dumpLines(tree);
  for (const { path } of walkTree(tree)) {
    const { value } = lines.next();
    if (path === wanted && value !== undefined) return toText(value).trimEnd();
  }
  return null;
}

/** Equal entries with other hard links among them: only the lines tell. Both trees have the same paths then. */
function differenceOfLines(expected: FileTree, made: FileTree): FirstDifference | null {
  const others = dumpLines(made);
  const paths = walkTree(expected);
  for (const line of dumpLines(expected)) {
    const path = paths.next().value?.path ?? fromText("/");
    const other = others.next().value;
    if (other !== line) {
      return {
        path: toText(path),
        changes: [],
        expected: toText(line).trimEnd(),
        made: other === undefined ? null : toText(other).trimEnd(),
      };
    }
  }
  return null;
}
