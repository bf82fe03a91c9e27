import { addBootEntry } from "../bootloader/bls-directory.ts";
import { addKernel, hasKernel, type StoredKernel } from "../bootloader/kernel-store.ts";
import { blsOptions } from "../core/boot/bls-entry.ts";
import { makeBootEntry } from "../core/boot/boot-menu.ts";
import { findKernel, type Kernel } from "../core/boot/kernel.ts";
import { composefsArgument, withRootImage } from "../core/boot/kernel-cmdline.ts";
import { parseOsRelease } from "../core/boot/os-release.ts";
import { fromText, toBytes } from "../core/bytes/byte-string.ts";
import type { Origin, SysrootState } from "../core/deployment/deployment.ts";
import type { SwitchPlan } from "../core/deployment/plan-switch.ts";
import { BlobHasher } from "../core/digest/blob-hasher.ts";
import { type ObjectId, parseObjectId } from "../core/digest/object-id.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { assert, OsdeployError } from "../core/errors.ts";
import type { FileContent, FileTree } from "../core/tree/inode.ts";
import type { EtcConflict, EtcStep } from "../core/tree/merge-etc.ts";
import { findInode } from "../core/tree/tree-path.ts";
import { type ContentSource, readPieces, withOpen } from "../linux/file-content.ts";
import { onSameFileSystem } from "../linux/file-system.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import { soundObjectPath } from "../repo/read-object.ts";
import type { Repo } from "../repo/repo.ts";
import { makeDirectories, type NewState, writeStateDirectory } from "../sysroot/state-directory.ts";
import type { WritableSysroot } from "../sysroot/sysroot.ts";
import { etcDirectory, mergeHostEtc, stepsOfImage } from "./host-etc.ts";
import { readContent } from "./read-content.ts";
import type { System } from "./system.ts";

/** A root image in the repo, and the state that it is deployed on. */
export interface DeployRequest {
  readonly sysroot: WritableSysroot;
  readonly repo: Repo;
  readonly state: SysrootState;
  readonly plan: Extract<SwitchPlan, { readonly kind: "deploy" }>;
  /** What `rootImage` holds. */
  readonly tree: FileTree;
  readonly rootImage: ObjectId;
  readonly imageReference: string;
  readonly manifestDigest: ManifestDigest;
  readonly kernelArguments: readonly string[];
}

export interface Deployed {
  readonly bootEntry: string;
  readonly kernel: string;
  /** None where the root image has been deployed before: its /etc stays as it is. */
  readonly etcConflicts: readonly EtcConflict[];
}

/**
 * Makes a deployment of a root image. In this order: kernel store, state directory, and last the boot entry, whose rename
 * is the commit; a crash before it leaves what boots as it was. Where the default boots this root image already, only the
 * origin changes.
 */
export function deploy(system: System, request: DeployRequest): Deployed {
  const { sysroot, repo, tree, rootImage } = request;
  const { files, paths } = sysroot;
  system.progress({ kind: "phase", phase: "boot-files" });
  const kernel = findKernel(tree);
  const bootDigest = measureKernel(files, repo, kernel);
  makeDirectories(files, paths.root, ["boot"]);
  const stored = storeKernel(request, kernel, bootDigest);
  system.progress({ kind: "phase", phase: "deployment" });
  const origin = { imageReference: request.imageReference, manifestDigest: request.manifestDigest, bootDigest };
  const { state, conflicts } = newState(request, origin);
  const isNew = writeStateDirectory(files, paths, state, system.linux.clock.randomName());
  // The default boots this very image, and only follows something else now: an entry more would start the same.
  const [there] = request.plan.base?.rootImage === rootImage ? request.plan.base.entries : [];
  if (there !== undefined) return { bootEntry: there.fileName, kernel: kernel.version, etcConflicts: [] };
  const entry = makeBootEntry({
    sequence: request.plan.sequence,
    rootImage,
    osRelease: parseOsRelease(readOsRelease(repo, tree)),
    ...stored,
    options: bootOptions(request),
  });
  addBootEntry(files, paths.boot, entry);
  return { bootEntry: entry.fileName, kernel: kernel.version, etcConflicts: isNew ? conflicts : [] };
}

/** sha256 over kernel and initramfs, as bootc computes it. */
function measureKernel(files: LinuxFiles, repo: Repo, { vmlinuz, initramfs }: Kernel): string {
  const hasher = new BlobHasher("sha256");
  for (const { content } of [vmlinuz, initramfs]) {
    const source = contentSource(repo, content);
    if (source.kind === "bytes") hasher.update(source.bytes);
    else withOpen(files, source.path, "read", (fd) => readPieces(files, fd, (piece) => hasher.update(piece)));
  }
  return hasher.measured().replace(/^sha256:/, "");
}

function storeKernel({ sysroot, repo }: DeployRequest, kernel: Kernel, bootDigest: string): StoredKernel {
  const { files, paths } = sysroot;
  const isOwnPartition = !onSameFileSystem(files.lstat(paths.boot), files.lstat(paths.root));
  const sources = {
    vmlinuz: contentSource(repo, kernel.vmlinuz.content),
    initramfs: contentSource(repo, kernel.initramfs.content),
  };
  if (!hasKernel(files, paths.boot, bootDigest)) checkBootSpace(files, paths.boot, kernel);
  return addKernel(files, paths.boot, { bootDigest, ...sources }, isOwnPartition ? "" : "/boot");
}

/** Refuses before the first byte is written: a full boot partition is the commonest way to a host that is stuck. */
function checkBootSpace(files: LinuxFiles, boot: Path, { vmlinuz, initramfs }: Kernel): void {
  const neededBytes = sizeOf(vmlinuz.content) + sizeOf(initramfs.content) + slackBytes;
  const { availableBytes } = files.space(boot);
  if (neededBytes <= availableBytes) return;
  const state = `${neededBytes} bytes are needed on the boot partition, ${availableBytes} are free`;
  throw new OsdeployError("no-space", `Cannot store the kernel: ${state}`, { facts: { neededBytes, availableBytes } });
}

/** For directories, the entry, and clusters of vfat. */
const slackBytes = 1024 * 1024;

function sizeOf(content: FileContent): number {
  return content.kind === "inline" ? content.bytes.length : Number(content.sizeBytes);
}

/** Where the bytes of a file of the image lie; checked, for what is deployed is no longer checked by a digest. */
function contentSource(repo: Repo, content: FileContent): ContentSource {
  if (content.kind === "inline") return { kind: "bytes", bytes: toBytes(content.bytes) };
  assert(content.digest !== undefined, "every external file of a root image has a digest");
  return { kind: "file", path: soundObjectPath(repo, parseObjectId(content.digest, repo.algorithm)) };
}

function newState(
  request: DeployRequest,
  origin: Origin,
): { readonly state: NewState; readonly conflicts: readonly EtcConflict[] } {
  const { repo, rootImage, tree, plan } = request;
  const { files, paths } = request.sysroot;
  const { base } = plan;
  const etc =
    base === undefined
      ? { steps: stepsOfImage(tree, "etc"), conflicts: [] }
      : mergeHostEtc(files, { repo, paths, base, image: tree });
  const contentOf = ({ from, path, inode }: EtcStep): ContentSource => {
    assert(inode.kind === "regular", "only regular files have content");
    if (from === "image") return contentSource(repo, inode.content);
    assert(base !== undefined, "without a deployment before there is no file of the host's");
    return { kind: "file", path: childPath(etcDirectory(paths, base), path) };
  };
  const state = { rootImage, origin, etc: etc.steps, var: stepsOfImage(tree, "var"), contentOf };
  return { state, conflicts: etc.conflicts };
}

/** The text of os-release; empty where the image has none. It is a link from /etc to /usr/lib, or a file in either. */
function readOsRelease(repo: Repo, tree: FileTree): string {
  const file = ["usr/lib/os-release", "etc/os-release"]
    .map((path) => findInode(tree, fromText(path)))
    .find((inode) => inode?.kind === "regular");
  return file?.kind === "regular" ? new TextDecoder().decode(readContent(repo, file.content)) : "";
}

/** The kernel arguments of the deployment before, or those given for the first one, with this root image. */
function bootOptions({ plan, repo, rootImage, kernelArguments }: DeployRequest): string {
  const before = plan.base?.entries[0]?.entry;
  const kept = before === undefined ? ["rw", ...kernelArguments].join(" ") : blsOptions(before);
  return withRootImage(kept, composefsArgument(rootImage, repo.secure ? "required" : "optional"));
}
