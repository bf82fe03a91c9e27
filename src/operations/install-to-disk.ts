import type { BootloaderKind } from "../bootloader/bootloader.ts";
import { findKernel } from "../core/boot/kernel.ts";
import { kernelVerity } from "../core/boot/kernel-version.ts";
import { fromText, toText } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { type DiskArchitecture, diskArchitecture, espType, extendedBootType } from "../core/disk/disk-architecture.ts";
import { type DiskLayout, type Extent, planDiskLayout } from "../core/disk/disk-layout.ts";
import type { DiskStep } from "../core/disk/disk-step.ts";
import { OsdeployError } from "../core/errors.ts";
import type { ImageReference } from "../core/oci/reference.ts";
import { copyToDisk, type OpenDisk, openDisk } from "../disk/disk-file.ts";
import { type DiskTarget, probeTarget } from "../disk/disk-target.ts";
import { fatSerial, makeEsp, type NewEsp } from "../disk/esp.ts";
import { makeExt4 } from "../disk/ext4-file-system.ts";
import { makeMountedRoot } from "../disk/mounted-root.ts";
import { leastFatBytes, leastRootBytes, neededFatBytes, neededRootBytes } from "../disk/needed-bytes.ts";
import { canSeal, type RootFileSystem, rootFileSystemTools } from "../disk/root-file-system.ts";
import { ScratchFiles } from "../disk/scratch-files.ts";
import { openStagingDirectory } from "../disk/staging-directory.ts";
import { requireTools, type ToolName } from "../disk/tools.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { defaultInitOptions, initRepo } from "../repo/init-repo.ts";
import { openRepo } from "../repo/repo.ts";
import { type DiskIdentity, diskIdentity, diskTime } from "./disk-identity.ts";
import { checkFollowed, followedText } from "./followed-image.ts";
import { checkDrivers, checkImageForInstall } from "./image-install-check.ts";
import { fillBootPartition, type InstalledBoot, placeOfEsp } from "./install-boot.ts";
import { type InstallImage, pullForInstall } from "./install-image.ts";
import { rootSteps } from "./install-root.ts";
import type { ImageRequest } from "./offered-image.ts";
import type { PulledImage } from "./pull-image.ts";
import { placeRootKeys, readRootKeys } from "./root-keys.ts";
import { checkInterrupted, type System } from "./system.ts";
import { warnOfLeftovers } from "./warn-of-leftovers.ts";

/** What all kinds of installation are asked for. */
export interface InstallRequest extends ImageRequest {
  /** What the installed system follows; the image itself when undefined. */
  readonly targetImage: ImageReference | undefined;
  readonly kernelArguments: readonly string[];
  readonly bootloader: BootloaderKind;
  /** A file with keys that may log in as root. */
  readonly rootKeys: Path | undefined;
  /** Whether a system whose files nobody checks is fine. */
  readonly allowMissingVerity: boolean;
}

export interface InstallToDiskRequest extends InstallRequest {
  /** A disk, or a file that becomes one. */
  readonly target: Path;
  readonly wipe: boolean;
  /** ext4 when not given. */
  readonly fileSystem?: RootFileSystem | undefined;
  readonly format: "raw" | "qcow2";
  /** The size of a file; as large as is good when undefined. */
  readonly diskBytes: number | undefined;
  readonly bootBytes: number;
  /** The size of an EFI system partition of its own, for the loader alone; the boot partition is one when undefined. */
  readonly espBytes?: number | undefined;
  readonly rootBytes: number | undefined;
  /** Whether the UUIDs are made by chance; else a file gets them from what is installed, so that it comes out the same again. */
  readonly randomUuids: boolean;
}

export interface InstallToDiskResult extends InstalledBoot {
  readonly target: string;
  readonly image: string;
  readonly rootImage: ObjectId;
  readonly diskBytes: number;
  readonly rootUuid: string;
  readonly bootUuid: string;
  readonly pulled: PulledImage;
}

/**
 * Makes a disk, or a file that is one, from which a machine starts the image: partition table, boot partition with loader
 * and kernel, and an ext4 root whose objects are sealed with fs-verity, all without a mount.
 *
 * Whatever can be refused is refused before the target is touched, and its partition table is written last. A file is made
 * under another name, and gets its own when it is whole and durable.
 */
export async function installToDisk(system: System, request: InstallToDiskRequest): Promise<InstallToDiskResult> {
  const { linux } = system;
  system.progress({ kind: "start", task: "install", subject: toText(request.target) });
  checkFollowed(system, request);
  const architecture = diskArchitecture(request.platform.architecture);
  requireTools(linux.programs, toolsFor(request));
  const target = probeTarget(linux, request.target, { wipe: request.wipe });
  checkSizes(target, request);
  readRootKeys(linux.files, request.rootKeys);
  const directory = openStagingDirectory(linux, stagingParent(linux.files, target));
  const staging = directory.path;
  warnOfLeftovers(system, directory.leftovers);
  try {
    const isSealed = decideSeals(system, request, staging);
    const repo = initStagingRepo(system, staging);
    try {
      const image = await pullForInstall(system, repo, {
        ...request,
        checkTree: checkImageForInstall(system, request),
      });
      checkDrivers(system, image, { root: request.fileSystem ?? "ext4", boot: "vfat", verity: isSealed });
      checkInterrupted(system.signal);
      const result = makeDisk(system, { request, architecture, target, staging, image, isSealed });
      system.progress({ kind: "done" });
      return result;
    } finally {
      repo.close();
    }
  } finally {
    warnOfLeftovers(system, directory.close());
  }
}

/**
 * Refuses what no image can make good: partitions too small for a file system in which nothing is, or too large for the disk.
 *
 * @throws OsdeployError `usage` where the options say so alone; `no-space` for a disk that is there.
 */
function checkSizes(target: DiskTarget, request: InstallToDiskRequest): void {
  if (target.kind === "device") refuseFileOptions(target.path, request);
  try {
    planDiskLayout({
      ...sizesOf(target, request),
      esp: espOf(request, leastFatBytes),
      neededBootBytes: leastFatBytes,
      neededRootBytes: leastRootBytes,
    });
  } catch (error) {
    if (!(error instanceof OsdeployError) || target.kind === "device") throw error;
    const hint = "See --size, --boot-size, --esp-size and --root-size";
    throw new OsdeployError("usage", error.message, { facts: { ...error.facts, hint }, cause: error });
  }
}

/** @throws OsdeployError `usage` for what is asked of a file that becomes a disk, and of no disk. */
function refuseFileOptions(path: Path, { diskBytes, format }: InstallToDiskRequest): void {
  if (diskBytes === undefined && format === "raw") return;
  const option = diskBytes === undefined ? `--format ${format}` : "--size";
  throw new OsdeployError("usage", `Cannot install to "${toText(path)}" with ${option}: it is a disk, and no file`, {
    facts: { hint: "--root-size says how much of a disk the root file system takes" },
  });
}

function sizesOf(target: DiskTarget, { diskBytes, bootBytes, rootBytes }: InstallToDiskRequest) {
  const sizes = { sectorBytes: sectorBytesOf(target), bootBytes, rootBytes };
  return { ...sizes, diskBytes: target.kind === "device" ? target.sizeBytes : diskBytes };
}

/** A file becomes a disk of the usual kind. */
function sectorBytesOf(target: DiskTarget): number {
  return target.kind === "device" ? target.sectorBytes : 512;
}

function espOf({ espBytes }: InstallToDiskRequest, neededBytes: number) {
  return espBytes === undefined ? undefined : { sizeBytes: espBytes, neededBytes };
}

function toolsFor({ format, fileSystem = "ext4" }: InstallToDiskRequest): readonly ToolName[] {
  const tools: readonly ToolName[] = [...rootFileSystemTools[fileSystem], "mkfs.vfat", "mmd", "mcopy", "wipefs"];
  return format === "qcow2" ? [...tools, "qemu-img"] : tools;
}

/** @throws OsdeployError `unsupported` where files cannot be sealed, and have to. */
function decideSeals(
  { linux }: System,
  { fileSystem = "ext4", allowMissingVerity }: InstallToDiskRequest,
  staging: Path,
): boolean {
  if (canSeal(linux, fileSystem, staging)) return true;
  if (allowMissingVerity) return false;
  const state = fileSystem === "xfs" ? "xfs has no fs-verity" : "this machine's kernel has no fs-verity for btrfs";
  throw new OsdeployError("unsupported", `Cannot seal the files of the image: ${state}`, {
    facts: {
      hint: "Use --filesystem ext4; or say --allow-missing-verity, and nothing checks files when they are read",
    },
  });
}

/**
 * Beside the file, where there is most likely room for all of it; for disks where large temporary files go.
 *
 * @throws OsdeployError `unsupported` where the tools would read more in its path than a name: they take what follows a `?` or
 * `@@` for options, and what precedes a `:` in a relative one for a protocol; and they are given text.
 */
function stagingParent(files: LinuxFiles, target: DiskTarget): Path {
  if (target.kind === "device") return "/var/tmp" as Path;
  const slash = target.path.lastIndexOf("/");
  const parent = files.realPath((slash < 0 ? "." : target.path.slice(0, slash) || "/") as Path);
  if (fromText(toText(parent)) === parent && !/\?|@@/.test(parent)) return parent;
  const state = "the tools that make file systems cannot be told a path with ?, with @@, or that is not UTF-8";
  throw new OsdeployError("unsupported", `Cannot make a disk in "${toText(parent)}": ${state}`, {
    facts: { hint: "Make it in another directory, then move it" },
  });
}

/** Nothing is sealed here, where perhaps nothing can be; on the disk all is. */
function initStagingRepo({ linux }: System, staging: Path) {
  const path = pathBelow(staging, "composefs");
  initRepo(linux, path, { ...defaultInitOptions, secure: false });
  return openRepo(linux, path, { access: "write", wait: true });
}

interface DiskWork {
  readonly request: InstallToDiskRequest;
  readonly architecture: DiskArchitecture;
  readonly target: DiskTarget;
  readonly staging: Path;
  readonly image: InstallImage;
  /** Whether the files of the image are sealed on the disk. */
  readonly isSealed: boolean;
}

function makeDisk(system: System, work: DiskWork): InstallToDiskResult {
  const { request, image, staging, target } = work;
  const { fileSystem = "ext4" } = request;
  const { files } = system.linux;
  const time = diskTime(image.tree);
  const identity = diskIdentity(system.linux.clock, image.rootImage, {
    random: request.randomUuids || target.kind === "device",
  });
  system.progress({ kind: "phase", phase: "boot-files" });
  const boot = newDirectory(files, staging, "boot");
  const esp = request.espBytes === undefined ? undefined : newDirectory(files, staging, "esp");
  const espPlace = esp && placeOfEsp(files, image.tree, boot);
  const installed = fillBootPartition(files, image, {
    boot,
    esp,
    bootloader: request.bootloader,
    architecture: work.architecture,
    fileSystemUuid: fatSerial(identity.boot),
    kernelArguments: [...ownArguments(identity, espPlace), ...request.kernelArguments],
    verity: work.isSealed && kernelChecks(image) ? "required" : "optional",
  });
  system.progress({ kind: "phase", phase: "seal" });
  const scratch = new ScratchFiles(files, newDirectory(files, staging, "scratch"));
  const imageReference = followedText(system, request.targetImage ?? image.reference);
  const steps = rootSteps(files, image, {
    origin: {
      imageReference,
      manifestDigest: image.manifestDigest,
      bootDigest: installed.bootDigest,
      verifiedBy: image.verifiedBy,
      sealedBy: image.pulled.sealedBy,
    },
    time,
    scratch,
    additions: placeRootKeys(system, image, request.rootKeys),
    withTails: fileSystem === "ext4",
  });
  const layout = planDiskLayout({
    ...sizesOf(target, request),
    esp: esp && espOf(request, neededFatBytes(files, esp)),
    neededBootBytes: neededFatBytes(files, boot),
    neededRootBytes: neededRootBytes(files, steps),
  });
  checkInterrupted(system.signal);
  writeDisk(system, { ...work, layout, identity, time, steps, boot, esp, scratch });
  return {
    ...installed,
    target: toText(target.path),
    image: imageReference,
    rootImage: image.rootImage,
    diskBytes: layout.diskBytes,
    rootUuid: identity.root,
    bootUuid: identity.bootPartition,
    pulled: image.pulled,
  };
}

function kernelChecks({ tree }: InstallImage): boolean {
  return ["checks", "unknown"].includes(kernelVerity(findKernel(tree).version).kind);
}

/** How the initramfs finds root, and how the boot partition gets to /boot; a machine whose boot partition is damaged still boots. */
function ownArguments(identity: DiskIdentity, espPlace: string | undefined): readonly string[] {
  const mount = (partition: string, place: string) =>
    `systemd.mount-extra=PARTUUID=${partition}:${place}:vfat:umask=0077,nosuid,nodev,noexec,nofail`;
  return [
    `root=UUID=${identity.root}`,
    "rw",
    mount(identity.bootPartition, "/boot"),
    ...(espPlace === undefined ? [] : [mount(identity.espPartition, espPlace)]),
  ];
}

function newDirectory(files: LinuxFiles, parent: Path, name: string): Path {
  const path = pathBelow(parent, name);
  files.makeDirectory(path, 0o700);
  return path;
}

interface DiskContents extends DiskWork {
  readonly layout: DiskLayout;
  readonly identity: DiskIdentity;
  readonly time: number;
  readonly steps: readonly DiskStep[];
  /** What is to be on the boot partition. */
  readonly boot: Path;
  /** And on the EFI system partition, where that is another one. */
  readonly esp: Path | undefined;
  readonly scratch: ScratchFiles;
}

/** From here on the target changes. Its partition table, by which all else is found, comes last. */
function writeDisk(system: System, contents: DiskContents): void {
  const { linux } = system;
  const { layout, staging, target, request } = contents;
  system.progress({ kind: "phase", phase: "write-disk" });
  const images = fatImages(linux, contents);
  // The image took its time: what somebody has put there meanwhile, or begun to use, is refused as what was there before.
  probeTarget(linux, target.path, { wipe: request.wipe });
  const disk: OpenDisk = openDisk(linux, target, { ...layout, format: request.format, staging });
  writeRoot(linux, disk, contents);
  for (const { file, offsetBytes } of images) {
    copyToDisk(linux.files, file, { path: disk.path, offsetBytes, isSparse: disk.isSparse });
  }
  disk.commit({
    diskUuid: contents.identity.disk,
    diskBytes: layout.diskBytes,
    sectorBytes: sectorBytesOf(target),
    partitions: partitionsOf(contents),
  });
}

/** The partitions that the firmware or the loader reads, each as a file of its own. */
function fatImages(
  linux: Linux,
  { layout, identity, time, staging, target, boot, esp }: DiskContents,
): readonly { readonly file: Path; readonly offsetBytes: number }[] {
  const make = (name: string, { sizeBytes, offsetBytes }: Extent, made: Pick<NewEsp, "label" | "uuid" | "content">) => {
    const file = pathBelow(staging, name);
    makeEsp(linux, { file, sizeBytes, sectorBytes: sectorBytesOf(target), time, ...made });
    return { file, offsetBytes };
  };
  if (esp === undefined || layout.esp === undefined) {
    return [make("boot.img", layout.boot, { label: "ESP", uuid: identity.boot, content: boot })];
  }
  return [
    make("esp.img", layout.esp, { label: "ESP", uuid: identity.esp, content: esp }),
    make("boot.img", layout.boot, { label: "BOOT", uuid: identity.boot, content: boot }),
  ];
}

function writeRoot(linux: Linux, disk: OpenDisk, contents: DiskContents): void {
  const { layout, identity, steps, scratch, time, staging, image, request, target } = contents;
  const common = { uuid: identity.root, label: "root", steps };
  const { path, isSparse } = disk;
  const { fileSystem = "ext4" } = request;
  if (fileSystem === "ext4") {
    makeExt4(linux, { ...common, target: path, ...layout.root, time, isSparse, scratch });
    return;
  }
  const file = pathBelow(staging, "root.img");
  const seal = contents.isSealed ? image.repo.algorithm : undefined;
  const sizes = { sizeBytes: layout.root.sizeBytes, sectorBytes: sectorBytesOf(target) };
  makeMountedRoot(linux, { ...common, type: fileSystem, file, ...sizes, seal });
  copyToDisk(linux.files, file, { path, offsetBytes: layout.root.offsetBytes, isSparse });
}

function partitionsOf({ layout, identity, architecture }: DiskContents) {
  const boot = { uuid: identity.bootPartition, ...layout.boot };
  return [
    ...(layout.esp === undefined
      ? [{ ...boot, type: espType, name: "esp" }]
      : [
          { type: espType, uuid: identity.espPartition, name: "esp", ...layout.esp },
          { ...boot, type: extendedBootType, name: "boot" },
        ]),
    { type: architecture.rootType, uuid: identity.rootPartition, name: "root", ...layout.root },
  ];
}
