import type { KargsFile } from "../core/boot/image-kargs.ts";
import { type OsRelease, parseOsRelease } from "../core/boot/os-release.ts";
import { fromText, toText } from "../core/bytes/byte-string.ts";
import { decodeText } from "../core/bytes/utf8.ts";
import type { FileTree, RegularFile } from "../core/tree/inode.ts";
import { findDirectory, followPath } from "../core/tree/tree-path.ts";
import type { Repo } from "../repo/repo.ts";
import { readContent } from "./read-content.ts";

/** The first of these paths that is a file in the image; links are followed. */
export function findImageFile(
  tree: FileTree,
  paths: readonly string[],
): { readonly path: string; readonly file: RegularFile } | undefined {
  for (const path of paths) {
    const inode = followPath(tree, fromText(path));
    if (inode?.kind === "regular") return { path, file: inode };
  }
  return undefined;
}

/** The text of a file of the image; empty where there is none. */
export function readImageText(repo: Repo, tree: FileTree, paths: readonly string[]): string {
  const found = findImageFile(tree, paths);
  return found === undefined ? "" : decodeText(readContent(repo, found.file.content));
}

/** What the image says of itself. */
export function readOsRelease(repo: Repo, tree: FileTree): OsRelease {
  return parseOsRelease(readImageText(repo, tree, ["usr/lib/os-release", "etc/os-release"]));
}

/** The files that say which kernel arguments the image wants. */
export function readKargsFiles(repo: Repo, tree: FileTree): readonly KargsFile[] {
  const entries = findDirectory(tree, fromText("usr/lib/bootc/kargs.d"))?.entries ?? new Map();
  return [...entries].flatMap(([name, inode]) =>
    inode.kind === "regular" ? [{ name: toText(name), text: decodeText(readContent(repo, inode.content)) }] : [],
  );
}
