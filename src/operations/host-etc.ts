import { type ByteString, fromBytes, fromText } from "../core/bytes/byte-string.ts";
import type { Deployment } from "../core/deployment/deployment.ts";
import { etcMount } from "../core/deployment/setup-root-config.ts";
import { VerityHasher } from "../core/digest/fs-verity.ts";
import { OsdeployError } from "../core/errors.ts";
import { maxInlineBytes } from "../core/tar/tar-scanner.ts";
import type { Directory, FileContent, FileTree } from "../core/tree/inode.ts";
import { type EtcMerge, type EtcStep, mergeEtc } from "../core/tree/merge-etc.ts";
import { applyUpper, upperSteps } from "../core/tree/overlay-upper.ts";
import { findDirectory } from "../core/tree/tree-path.ts";
import { readRootDirectory } from "../image-source/root-directory.ts";
import { readPieces, withOpen } from "../linux/file-content.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import { openRootImage } from "../repo/object-graph.ts";
import type { Repo } from "../repo/repo.ts";
import { type SysrootPaths, stateDirectory } from "../sysroot/sysroot-paths.ts";
import { findImageFile, readImageText } from "./image-content.ts";

/** The /etc of a new deployment, as it is to lie in its state directory. */
export interface NewEtc extends EtcMerge {
  /** Where the content lies of a file that a step takes from the host. */
  readonly hostPathOf: (step: EtcStep) => Path;
}

/**
 * Merges the /etc of the deployment `base` into that of a new image. The host's files are only read.
 *
 * A deployment has its /etc as a whole, which the initramfs mounts, or only what was changed, in `etc/upper`, where it mounts
 * an overlay: the image's own configuration says which. An image that says nothing gets what `base` has where that one's image
 * said nothing either: then both have what their initramfs does by itself.
 *
 * @throws OsdeployError `not-found` or `damaged` when the deployment's root image or /etc cannot be read; `unsupported` when its
 * upper directory holds what only the kernel understands, and when nobody knows how the new image mounts its /etc.
 */
export function mergeHostEtc(
  files: LinuxFiles,
  {
    repo,
    paths,
    base,
    image,
  }: { readonly repo: Repo; readonly paths: SysrootPaths; readonly base: Deployment; readonly image: FileTree },
): NewEtc {
  const booted = openRootImage(repo, base.rootImage);
  const pristine = directoryAsTree(booted, "etc");
  const etc = pathBelow(stateDirectory(paths, base.rootImage), "etc");
  const isOverlay = configuredAsOverlay(repo, booted) ?? looksLikeOverlay(files, etc);
  const becomesOverlay = wantsOverlay(repo, image, { booted, isOverlay });
  const changed = isOverlay ? pathBelow(etc, upper) : etc;
  const read = () => readHostTree(files, repo, changed);
  const host = !isOverlay
    ? read()
    : files.lstatIfExists(changed) === undefined
      ? pristine
      : applyUpper(pristine, read());
  const merge = mergeEtc({ pristine, host, image: directoryAsTree(image, "etc") });
  if (!becomesOverlay) {
    return { ...merge, hostPathOf: ({ path }) => childPath(changed, path) };
  }
  const prefix = `${upper}/`;
  return {
    steps: overlaySteps(directoryAsTree(image, "etc"), merge.steps),
    conflicts: merge.conflicts,
    hostPathOf: ({ path }) => childPath(changed, path.slice(prefix.length) as ByteString),
  };
}

const upper = "upper";
const work = "work";
const configFile = "usr/lib/composefs/setup-root-conf.toml";

/** The words of its file say it; undefined where there are none. */
function configuredAsOverlay(repo: Repo, tree: FileTree): boolean | undefined {
  const mount = etcMount(readImageText(repo, tree, [configFile]));
  return mount === undefined ? undefined : mount === "overlay";
}

/**
 * How an image that says nothing mounts its /etc depends on its initramfs. What is on the disk shows that where the image before
 * said nothing either, and not where osdeploy's own initramfs, which mounts a directory, is new in the image.
 */
function wantsOverlay(
  repo: Repo,
  image: FileTree,
  { booted, isOverlay }: { readonly booted: FileTree; readonly isOverlay: boolean },
): boolean {
  const configured = configuredAsOverlay(repo, image);
  if (configured !== undefined) return configured;
  if (!isOverlay) return false;
  const isSilent = configuredAsOverlay(repo, booted) === undefined;
  if (isSilent && (hasOurInitramfs(booted) || !hasOurInitramfs(image))) return true;
  if (hasOurInitramfs(image)) return false;
  const state = `the image before has an overlay by /${configFile}, and this one does not say what it has`;
  throw new OsdeployError("unsupported", `Cannot make /etc for this image: ${state}`, {
    facts: { hint: `Use an image whose /${configFile} has mount = "bind" or "overlay" below [etc]` },
  });
}

function hasOurInitramfs(tree: FileTree): boolean {
  return findImageFile(tree, ["usr/lib/osdeploy/boot/setup-root"]) !== undefined;
}

/** Whatever made it so: an /etc of nothing but these two directories would start no system. */
function looksLikeOverlay(files: LinuxFiles, etc: Path): boolean {
  if (files.lstatIfExists(etc)?.kind !== "directory") return false;
  const isDirectory = (name: string) => files.lstatIfExists(pathBelow(etc, name))?.kind === "directory";
  return files.readDirectory(etc).join(" ") === `${upper} ${work}` && isDirectory(upper) && isDirectory(work);
}

/** The directory that the initramfs makes an overlay of: the upper one, and one for the kernel. */
function overlaySteps(image: FileTree, merged: EtcMerge["steps"]): EtcMerge["steps"] {
  const made = (path: string, permissions: number): EtcStep => {
    const stat = { ...image.root.stat, uid: 0, gid: 0, permissions };
    const inode: Directory = { ...image.root, stat, entries: new Map(), links: new Set() };
    return { path: fromText(path), from: "image", inode };
  };
  const inUpper = upperSteps(image, merged).map((step) => {
    const path = step.path === "" ? fromText(upper) : childPath(fromText(upper), step.path);
    return { ...step, path };
  });
  return [made("", 0o755), ...inUpper, made(work, 0o700)];
}

/**
 * The /etc of a first deployment, for which nobody has changed anything: all of the image's, or where the image has an overlay
 * mounted over that, the directories of the overlay.
 */
export function stepsOfFirstEtc(repo: Repo, image: FileTree): EtcMerge["steps"] {
  const steps = stepsOfImage(image, "etc");
  return configuredAsOverlay(repo, image) === true ? overlaySteps(directoryAsTree(image, "etc"), steps) : steps;
}

/** Where in the /etc of a first deployment lies what is changed there: empty for all of it. */
export function changesOfFirstEtc(repo: Repo, image: FileTree): "" | "upper" {
  return configuredAsOverlay(repo, image) === true ? upper : "";
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

/**
 * Reads /etc from the disk; contents are named as in root images, so that both can be compared. It is in use: what others take
 * away meanwhile is absent.
 */
function readHostTree(files: LinuxFiles, repo: Repo, directory: Path): FileTree {
  return readRootDirectory(files, directory, {
    contentOf: (path) => withOpen(files, path, "read", (fd) => nameContent(files, repo, fd)),
    hardLinks: "ignore",
    devices: "keep",
    xattrs: "all",
    times: "keep",
    mounts: "enter",
    vanished: "leave-out",
  });
}

/** Of any size: no more than a piece is in memory. */
function nameContent(files: LinuxFiles, { algorithm }: Repo, fd: Fd): FileContent {
  const hasher = new VerityHasher(algorithm);
  const start = new Uint8Array(maxInlineBytes);
  let sizeBytes = 0;
  readPieces(files, fd, (piece) => {
    if (sizeBytes < maxInlineBytes) start.set(piece.subarray(0, maxInlineBytes - sizeBytes), sizeBytes);
    hasher.update(piece);
    sizeBytes += piece.length;
  });
  if (sizeBytes <= maxInlineBytes) return { kind: "inline", bytes: fromBytes(start.subarray(0, sizeBytes)) };
  return { kind: "external", sizeBytes: BigInt(sizeBytes), backingPath: undefined, digest: hasher.digest() };
}
