import { type ByteString, fromText, toText } from "../core/bytes/byte-string.ts";
import { decodeText, encodeText } from "../core/bytes/utf8.ts";
import type { Origin } from "../core/deployment/deployment.ts";
import { parseKeptArguments } from "../core/deployment/kept-arguments.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import type { EtcStep } from "../core/tree/merge-etc.ts";
import { type ContentSource, copyContent, withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { makeDirectories } from "../linux/make-directories.ts";
import { makeInode, setMetadata, setModificationTime } from "../linux/new-inode.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import { evenProtected, removeLeftovers, removeTree } from "../linux/remove-tree.ts";
import { formatOrigin, parseOrigin } from "./origin-file.ts";
import { type SysrootPaths, stateDirectory } from "./sysroot-paths.ts";

/** Names of directories that are being made, and of those that are being taken away. No program takes them for deployments. */
const unfinishedPrefix = ".new-";
const discardedPrefix = ".gone-";
const unfinishedSuffix = ".osdeploy-new";

/** What lies in `state/deploy`: a deployment's root image and origin. */
export interface DeploymentDirectory {
  readonly rootImage: ObjectId;
  readonly origin: Origin | undefined;
  /** The kernel arguments of its newest boot entry, where they were kept. */
  readonly kernelArguments: string | undefined;
}

/** An origin file is four short lines, kernel arguments are one that the kernel takes 2 KiB of. */
const fileLimitBytes = 64 * 1024;

/**
 * The deployments of a sysroot, in byte order of their root images. Names that are no root image are passed over; an
 * origin that cannot be read is undefined, so that one damaged file hides no deployment.
 */
export function readDeploymentDirectories(files: LinuxFiles, paths: SysrootPaths): readonly DeploymentDirectory[] {
  if (files.lstatIfExists(paths.deployments) === undefined) return [];
  return files
    .readDirectory(paths.deployments)
    .filter((name) => /^([0-9a-f]{64}|[0-9a-f]{128})$/.test(name))
    .map((name) => ({
      rootImage: name as string as ObjectId,
      origin: readOrigin(files, paths, name as string as ObjectId),
      kernelArguments: readKernelArguments(files, paths, name as string as ObjectId),
    }));
}

function readOrigin(files: LinuxFiles, paths: SysrootPaths, rootImage: ObjectId): Origin | undefined {
  return unlessFailing(() => {
    const text = files.readFile(originPath(stateDirectory(paths, rootImage), rootImage), fileLimitBytes);
    return parseOrigin(decodeText(text));
  });
}

function readKernelArguments(files: LinuxFiles, paths: SysrootPaths, rootImage: ObjectId): string | undefined {
  const bytes = unlessFailing(() => files.readFile(argumentsPath(paths, rootImage), fileLimitBytes));
  return bytes === undefined ? undefined : parseKeptArguments(decodeText(bytes));
}

function argumentsPath(paths: SysrootPaths, rootImage: ObjectId): Path {
  return pathBelow(stateDirectory(paths, rootImage), `${rootImage}.kargs`);
}

function originPath(directory: ByteString, rootImage: ObjectId): ByteString {
  return pathBelow(directory, `${rootImage}.origin`);
}

/** A state directory to be made. `contentOf` is asked for each regular file of `etc`. */
export interface NewState {
  readonly rootImage: ObjectId;
  readonly origin: Origin;
  readonly etc: readonly EtcStep[];
  /** The image's /var; made once, as the /var that all deployments share. */
  readonly var: readonly EtcStep[];
  /** What is to be in /var besides, also in one that is there already; where something has its name, that stays. */
  readonly addedToVar: readonly EtcStep[];
  readonly contentOf: (step: EtcStep) => ContentSource;
}

/**
 * Makes a deployment's state directory: /etc, a link to the shared /var, the origin. No boot entry may lead to one of this
 * root image that is there already: it is replaced.
 *
 * It is built under a temporary name and renamed when complete and durable; one that a crash left half-made is never
 * taken for a deployment. The shared /var is made in the same way, and once it exists nothing in it is changed.
 *
 * @returns what keeps parts of the replaced one there.
 * @throws OsdeployError `unsupported` where something in /var would lead what is added there to another place.
 */
export function writeStateDirectory(
  files: LinuxFiles,
  paths: SysrootPaths,
  state: NewState,
  temporaryName: ByteString,
): readonly OsdeployError[] {
  const target = stateDirectory(paths, state.rootImage);
  const origin = encodeText(formatOrigin(state.origin));
  makeDirectories(files, paths.root, "state/deploy");
  makeDirectories(files, paths.root, "state/os/default");
  if (files.lstatIfExists(paths.sharedVar) === undefined) {
    const unfinished = pathBelow(paths.root, `state/os/default/${unfinishedPrefix}${temporaryName}`);
    const there = new Set(state.var.map(({ path }) => path));
    const steps = [...state.var, ...state.addedToVar.filter(({ path }) => !there.has(path))];
    buildThenName(files, unfinished, paths.sharedVar, (path) => makeTree(files, path, steps, state.contentOf));
  } else {
    addToVar(files, paths, state);
  }
  const discarded = discard(files, paths, state.rootImage, temporaryName);
  buildThenName(files, pathBelow(paths.deployments, `${unfinishedPrefix}${temporaryName}`), target, (path) => {
    files.makeDirectory(path, 0o755);
    makeTree(files, pathBelow(path, "etc"), state.etc, state.contentOf);
    files.symlink(fromText("../../os/default/var"), pathBelow(path, "var"));
    files.writeNewFile(originPath(path, state.rootImage), origin, 0o644);
  });
  return removeLeftovers(files, [discarded]);
}

/** Each is named when it is whole and durable. */
function addToVar(files: LinuxFiles, { sharedVar }: SysrootPaths, { addedToVar, contentOf }: NewState): void {
  for (const step of addedToVar) {
    const target = childPath(sharedVar, step.path);
    const there = files.lstatIfExists(target)?.kind;
    if (there === undefined) {
      nameWhenWhole(files, target, (path) => {
        makeTree(files, path, [{ ...step, path: fromText("") }], () => contentOf(step));
      });
    } else if (step.inode.kind === "directory" && there !== "directory") {
      throw new OsdeployError("unsupported", `Cannot add to "${toText(target)}": it is a ${there}, and no directory`);
    }
  }
}

/** Beside its name, because a directory of /var can be a file system of its own. */
function nameWhenWhole(files: LinuxFiles, target: Path, build: (path: Path) => void): void {
  const parent = target.slice(0, target.lastIndexOf("/")) as Path;
  const unfinished = `${target}${unfinishedSuffix}` as Path;
  if (files.lstatIfExists(unfinished) !== undefined) removeTree(files, unfinished);
  build(unfinished);
  withOpen(files, parent, "directory", (fd) => {
    files.syncFileSystem(fd);
    files.rename(unfinished, target, { replace: false });
    files.syncFileSystem(fd);
  });
}

/** Gives a state directory a name under which it is no deployment any more. */
function discard(files: LinuxFiles, paths: SysrootPaths, rootImage: ObjectId, temporaryName: ByteString): Path {
  const discarded = pathBelow(paths.deployments, `${discardedPrefix}${temporaryName}`);
  const target = stateDirectory(paths, rootImage);
  if (files.lstatIfExists(target) !== undefined) {
    evenProtected(files, [target], () => files.rename(target, discarded, { replace: false }));
  }
  return discarded;
}

/**
 * Takes deployments away, each in one step, durable when it returns; no boot entry leads to them any more.
 * `temporaryName` gives a name that nobody has.
 *
 * @returns what keeps parts of them there, which are no deployments any more.
 */
export function removeStateDirectories(
  files: LinuxFiles,
  paths: SysrootPaths,
  rootImages: readonly ObjectId[],
  temporaryName: () => ByteString,
): readonly OsdeployError[] {
  if (rootImages.length === 0) return [];
  const discarded = rootImages.map((rootImage) => discard(files, paths, rootImage, temporaryName()));
  withOpen(files, paths.deployments, "directory", (fd) => files.syncFileSystem(fd));
  return removeLeftovers(files, discarded);
}

/** Gives a deployment another origin: the same image can be asked for by another name, and a damaged origin made whole. */
export function writeOrigin(
  files: LinuxFiles,
  paths: SysrootPaths,
  deployment: Pick<NewState, "rootImage" | "origin">,
  temporaryName: ByteString,
): void {
  const origin = encodeText(formatOrigin(deployment.origin));
  const path = originPath(stateDirectory(paths, deployment.rootImage), deployment.rootImage);
  replaceFile(files, pathBelow(paths.deployments, `${unfinishedPrefix}${temporaryName}`), path, origin);
}

/** Keeps kernel arguments beside the origin of a deployment, durable. */
export function writeKernelArguments(
  files: LinuxFiles,
  paths: SysrootPaths,
  { rootImage, options }: { readonly rootImage: ObjectId; readonly options: string },
  temporaryName: ByteString,
): void {
  const unfinished = pathBelow(paths.deployments, `${unfinishedPrefix}${temporaryName}`);
  replaceFile(files, unfinished, argumentsPath(paths, rootImage), encodeText(`${options}\n`));
}

function replaceFile(files: LinuxFiles, unfinished: Path, path: Path, bytes: Uint8Array): void {
  if (isFile(files, path, bytes)) return;
  files.writeNewFile(unfinished, bytes, 0o644);
  withOpen(files, unfinished, "read", (fd) => {
    files.syncFileSystem(fd);
    files.rename(unfinished, path, { replace: true });
    files.syncFileSystem(fd);
  });
}

function isFile(files: LinuxFiles, path: Path, bytes: Uint8Array): boolean {
  if (files.lstatIfExists(path)?.sizeBytes !== bytes.length) return false;
  return Buffer.compare(files.readFile(path, bytes.length), bytes) === 0;
}

function buildThenName(
  files: LinuxFiles,
  temporary: ByteString,
  target: ByteString,
  build: (path: ByteString) => void,
): void {
  try {
    build(temporary);
  } catch (error) {
    // A disk that was too small for it stays full no longer. What cannot be removed goes the next time.
    unlessFailing(() => removeTree(files, temporary));
    throw error;
  }
  withOpen(files, temporary, "directory", (fd) => {
    files.syncFileSystem(fd);
    files.rename(temporary, target, { replace: false });
    files.syncFileSystem(fd);
  });
}

/**
 * What crashed runs left behind: state directories half-made or half-removed, and a half-made shared /var. While another run
 * holds the sysroot's lock they can be its own.
 */
export function listUnfinished(files: LinuxFiles, paths: SysrootPaths): readonly Path[] {
  const parents = [paths.deployments, pathBelow(paths.root, "state/os/default")];
  return parents.flatMap((parent) =>
    files.lstatIfExists(parent) === undefined
      ? []
      : files
          .readDirectory(parent)
          .filter((name) => name.startsWith(unfinishedPrefix) || name.startsWith(discardedPrefix))
          .map((name) => childPath(parent, name)),
  );
}

/** Makes the inodes of `steps` below `target`; the first step is `target` itself. Times are set last, deepest first. */
function makeTree(
  files: LinuxFiles,
  target: ByteString,
  steps: readonly EtcStep[],
  contentOf: (step: EtcStep) => ContentSource,
): void {
  const pathOf = (step: EtcStep): ByteString => (step.path === "" ? target : childPath(target, step.path));
  const made = steps.filter((step) => {
    const path = pathOf(step);
    const isMade = makeStep(files, path, step, contentOf);
    if (isMade) setMetadata(files, path, step.inode);
    return isMade;
  });
  for (const step of made.reverse()) setModificationTime(files, pathOf(step), step.inode.stat);
}

/** @returns false for what is no longer there. */
function makeStep(
  files: LinuxFiles,
  path: ByteString,
  step: EtcStep,
  contentOf: (step: EtcStep) => ContentSource,
): boolean {
  if (step.inode.kind === "regular") return copyUnlessGone(files, contentOf(step), path, step);
  makeInode(files, path, step.inode);
  return true;
}

/** What the host has taken away since its /etc was read is absent. */
function copyUnlessGone(files: LinuxFiles, source: ContentSource, path: Path, { from }: EtcStep): boolean {
  try {
    copyContent(files, source, path);
    return true;
  } catch (error) {
    const isGone = error instanceof OsdeployError && error.code === "not-found";
    if (!isGone || from !== "host" || source.kind !== "file") throw error;
    if (files.lstatIfExists(source.path) !== undefined) throw error;
    return false;
  }
}
