import { fromBytes, fromText } from "../core/bytes/byte-string.ts";
import type { Deployment } from "../core/deployment/deployment.ts";
import { verityDigest } from "../core/digest/fs-verity.ts";
import { maxInlineBytes } from "../core/tar/tar-scanner.ts";
import type { FileContent, FileTree } from "../core/tree/inode.ts";
import { type EtcMerge, mergeEtc } from "../core/tree/merge-etc.ts";
import { findDirectory } from "../core/tree/tree-path.ts";
import { readRootDirectory } from "../image-source/root-directory.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { readRootImage } from "../repo/object-graph.ts";
import type { Repo } from "../repo/repo.ts";
import { type SysrootPaths, stateDirectory } from "../sysroot/sysroot-paths.ts";

/** The /etc of a deployment on disk. */
export function etcDirectory(paths: SysrootPaths, { rootImage }: Pick<Deployment, "rootImage">): Path {
  return pathBelow(stateDirectory(paths, rootImage), "etc");
}

/**
 * Merges the /etc of the deployment `base` into that of a new image. The host's files are only read.
 *
 * @throws OsdeployError `not-found` or `damaged` when the deployment's root image or /etc cannot be read.
 */
export function mergeHostEtc(
  files: LinuxFiles,
  {
    repo,
    paths,
    base,
    image,
  }: { readonly repo: Repo; readonly paths: SysrootPaths; readonly base: Deployment; readonly image: FileTree },
): EtcMerge {
  return mergeEtc({
    pristine: directoryAsTree(readRootImage(repo, base.rootImage), "etc"),
    host: readHostTree(files, repo, etcDirectory(paths, base)),
    image: directoryAsTree(image, "etc"),
  });
}

/** All of a directory of an image, as the steps that make it. */
export function stepsOfImage(image: FileTree, directory: "etc" | "var"): EtcMerge["steps"] {
  const tree = directoryAsTree(image, directory);
  return mergeEtc({ pristine: tree, host: tree, image: tree }).steps;
}

/** A directory of a tree as a tree of its own; empty, and owned by root, where the tree has none. */
function directoryAsTree(tree: FileTree, directory: "etc" | "var"): FileTree {
  const found = findDirectory(tree, fromText(directory));
  return { root: found ?? { ...tree.root, entries: new Map(), links: new Set() } };
}

/** Reads /etc from the disk; contents are named as in root images, so that both can be compared. */
function readHostTree(files: LinuxFiles, repo: Repo, directory: Path): FileTree {
  return readRootDirectory(files, directory, {
    contentOf: (path, stat) => nameContent(repo, files.readFile(path, stat.sizeBytes)),
    hardLinks: "ignore",
    devices: "keep",
    xattrs: "all",
    times: "keep",
    mounts: "enter",
  });
}

function nameContent({ algorithm }: Repo, bytes: Uint8Array): FileContent {
  if (bytes.length <= maxInlineBytes) return { kind: "inline", bytes: fromBytes(bytes) };
  return {
    kind: "external",
    sizeBytes: BigInt(bytes.length),
    backingPath: undefined,
    digest: verityDigest(algorithm, bytes),
  };
}
