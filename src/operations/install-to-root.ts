import { unifiedKernels } from "../bootloader/bls-directory.ts";
import type { BootloaderKind } from "../bootloader/bootloader.ts";
import { detectBootloader } from "../bootloader/open-bootloader.ts";
import { toText } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { diskArchitecture, extendedBootType } from "../core/disk/disk-architecture.ts";
import { assert, OsdeployError, unless } from "../core/errors.ts";
import { type MountedPlace, mountedPlace, partitionType } from "../disk/mounted-place.ts";
import { probeFileSystem } from "../disk/probe-file-system.ts";
import { withOpen } from "../linux/file-content.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { makeDirectories } from "../linux/make-directories.ts";
import { pathBelow } from "../linux/path.ts";
import { sysrootPaths } from "../sysroot/sysroot-paths.ts";
import { deploy } from "./deploy.ts";
import { isDeployed } from "./deployment-state.ts";
import { checkFollowed, followedText } from "./followed-image.ts";
import { checkDrivers, checkImageForInstall } from "./image-install-check.ts";
import { addLoader, adoptLoader, placeOfEsp } from "./install-boot.ts";
import { type InstallImage, pullForInstall } from "./install-image.ts";
import type { InstallRequest } from "./install-to-disk.ts";
import type { PulledImage } from "./pull-image.ts";
import { placeRootKeys, readRootKeys } from "./root-keys.ts";
import { withRepo } from "./switch.ts";
import { checkInterrupted, type System } from "./system.ts";
import { type WritableSystem, withWritableSystem } from "./writable-system.ts";

export interface InstallToRootRequest extends Omit<InstallRequest, "bootloader"> {
  /** Where the root file system is mounted. */
  readonly root: Path;
  /** Whether another system is on it already, which stays as it is and can still be booted. */
  readonly isExisting: boolean;
  /** The loader; for an existing system the one that is there when undefined. */
  readonly bootloader: BootloaderKind | undefined;
  /** Where the EFI system partition is mounted, when it is another one than that at `boot` below the root. */
  readonly esp?: Path | undefined;
  /** What `root=` is to say, where the file system's UUID is not right. */
  readonly rootSpec: string | undefined;
}

export interface InstallToRootResult {
  readonly root: string;
  readonly image: string;
  readonly rootImage: ObjectId;
  readonly kernel: string;
  readonly bootEntry: string;
  readonly bootloader: BootloaderKind;
  readonly pulled: PulledImage;
}

/**
 * Puts an image into a root file system that somebody has made and mounted, with its boot partition at `boot` below it: an
 * empty one, or that of a running system, whose files and boot entries all stay. Nothing is written before all is found
 * good but the image's own objects; the boot entry comes last.
 */
export async function installToRoot(system: System, asked: InstallToRootRequest): Promise<InstallToRootResult> {
  const { linux } = system;
  const request = { ...asked, root: unless("not-found", () => linux.files.realPath(asked.root)) ?? asked.root };
  system.progress({ kind: "start", task: "install", subject: toText(request.root) });
  checkFollowed(system, request);
  const places = findPlaces(system, request);
  probeTarget(system, request);
  readRootKeys(linux.files, request.rootKeys);
  const bootloader = chooseLoader(linux.files, request, places);
  if (bootloader === "systemd-boot") checkExtendedBoot(linux, places);
  // A directory with other things in it is no sysroot, unless there is the beginning of one.
  if (request.isExisting) makeDirectories(linux.files, request.root, "state/deploy");
  const opening = { sysroot: request.root, bootloader, mayMake: true };
  const result = await withWritableSystem(system, opening, (writable) =>
    withRepo(system, writable.sysroot, async (repo) => {
      refuseDeployments(request.root, writable);
      if (!request.allowMissingVerity && !repo.secure) throw insecureRepo(request.root);
      const image = await pullForInstall(system, repo, {
        ...request,
        checkTree: checkImageForInstall(system, request),
      });
      checkDrivers(system, image, { root: places.root.type, boot: places.boot?.type, verity: repo.secure });
      checkInterrupted(system.signal);
      return deployFirst(system, { request, writable, image, places, bootloader });
    }),
  );
  system.progress({ kind: "done" });
  return result;
}

/** The mounts that an installation is about. */
interface Places {
  readonly root: MountedPlace;
  /** Undefined where /boot is a directory of the root file system. */
  readonly boot: MountedPlace | undefined;
  /** Undefined where it is the boot partition. */
  readonly esp: MountedPlace | undefined;
}

function findPlaces({ linux }: System, { root, rootSpec, isExisting, esp }: InstallToRootRequest): Places {
  const found = mountedPlace(linux, root);
  if (found === undefined) {
    throw new OsdeployError("not-found", `Cannot install to "${toText(root)}": no file system is mounted there`, {
      facts: { hint: "Mount the root file system there, and its boot partition at boot below it" },
    });
  }
  if (isExisting && found.type === "overlay") {
    const state = "it is not a file system of a disk but an overlay";
    throw new OsdeployError("unsupported", `Cannot install to "${toText(root)}": ${state}`, {
      facts: { hint: "A system that runs from an image gets another one with osdeploy switch" },
    });
  }
  if (found.uuid === undefined && rootSpec === undefined) {
    throw new OsdeployError("unsupported", `Cannot install to "${toText(root)}": its file system has no UUID`, {
      facts: { hint: "Say with --root-mount-spec how the kernel finds it" },
    });
  }
  refusePart(root, found, subvolumeArgument(found) !== undefined);
  const bootPath = pathBelow(root, "boot");
  refuseElsewhere(linux.files, root, bootPath);
  const boot = mountedPlace(linux, bootPath);
  if (boot !== undefined) refusePart(bootPath, boot, false);
  return { root: found, boot, esp: esp && findEsp(linux, esp, boot) };
}

/** A machine that starts mounts file systems, and no directories of them. */
function refusePart(path: Path, { directory, type }: MountedPlace, isSubvolume: boolean): void {
  if (directory === "/" || isSubvolume) return;
  const state = `what is mounted there is not all of a file system (${type}), only its directory ${toText(directory as Path)}`;
  throw new OsdeployError("unsupported", `Cannot install to "${toText(path)}": ${state}`, {
    facts: { hint: "Mount the file system itself there" },
  });
}

/** A symlink that starts at the top, as that system has it, leads to the boot partition of the machine that installs. */
function refuseElsewhere(files: LinuxFiles, root: Path, boot: Path): void {
  const place = unless("not-found", () => files.realPath(boot));
  if (place === undefined || place.startsWith(root === "/" ? root : `${root}/`)) return;
  const state = `its boot is a symlink that leads to ${toText(place)}, which is not below it`;
  throw new OsdeployError("unsupported", `Cannot install to "${toText(root)}": ${state}`, {
    facts: { hint: "Mount the boot partition at boot below it, in place of the symlink" },
  });
}

/** How the initramfs finds the subvolume of btrfs that is the root; undefined where it is none, or has a name that no kernel argument takes. */
function subvolumeArgument({ directory, subvolume }: MountedPlace): string | undefined {
  if (directory === "/" || directory !== subvolume || !/^[!#-+\--~]+$/.test(directory)) return undefined;
  return `rootflags=subvol=${directory}`;
}

/** @returns undefined where the partition is that at `boot`, under another name. */
function findEsp(linux: Linux, path: Path, boot: MountedPlace | undefined): MountedPlace | undefined {
  const found = mountedPlace(linux, path);
  if (found?.type !== "vfat") {
    const state =
      found === undefined ? "no file system is mounted there" : `it is ${found.type}, and no firmware reads that`;
    throw new OsdeployError("unsupported", `Cannot use "${toText(path)}" as EFI system partition: ${state}`);
  }
  refusePart(path, found, false);
  return found.source === boot?.source ? undefined : found;
}

/** Finds out whether a system can live there, before anything is put there. */
function probeTarget({ linux }: System, { root, allowMissingVerity }: InstallToRootRequest): void {
  const { canSeal } = probeFileSystem(linux, root);
  if (canSeal || allowMissingVerity) return;
  throw new OsdeployError("unsupported", `Cannot install to "${toText(root)}": files there cannot be sealed`, {
    facts: {
      hint: "Use ext4 (made with -O verity) or btrfs and a kernel with fs-verity, install to-disk, or --allow-missing-verity",
    },
  });
}

/** Only what a stopped installation left may be there. */
function refuseDeployments(root: Path, { state }: WritableSystem): void {
  const [entry] = state.menu.entries;
  if (entry === undefined) return;
  const there = `there is a deployment already, started by ${entry.fileName}`;
  throw new OsdeployError("already-exists", `Cannot install to "${toText(root)}": ${there}`, {
    facts: { hint: "Another image gets there with osdeploy switch --sysroot" },
  });
}

function insecureRepo(root: Path): OsdeployError {
  return new OsdeployError("unsupported", `Cannot install to "${toText(root)}": there is an insecure repo already`, {
    facts: { hint: "Nothing would check the files; say --allow-missing-verity where that is fine" },
  });
}

function chooseLoader(files: LinuxFiles, request: InstallToRootRequest, places: Places): BootloaderKind {
  const { boot } = places;
  const { root, isExisting } = request;
  const found = isExisting ? detectBootloader(files, sysrootPaths(root).boot) : "none";
  const chosen = request.bootloader ?? (isExisting ? found : "systemd-boot");
  if (request.bootloader === "none") return chosen;
  if (isExisting && chosen !== found) {
    const state = found === "none" ? "there is no boot loader that osdeploy knows" : `the boot loader is ${found}`;
    throw new OsdeployError("unsupported", `Cannot install to "${toText(root)}": ${state} at boot below it`, {
      facts: { hint: "For systemd-boot mount the EFI system partition at boot; or say --bootloader none" },
    });
  }
  if (chosen === "none") return refuseNoLoader(root);
  if (isExisting && chosen === "grub") {
    if (boot === undefined) refuseSubvolume(root, places.root);
    return chosen;
  }
  if (boot?.type === "vfat") return chosen;
  throw new OsdeployError(
    "unsupported",
    `Cannot install to "${toText(root)}": no FAT partition is mounted at its boot`,
    {
      facts: { hint: "Mount the EFI system partition there; or say --bootloader none" },
    },
  );
}

/** Beside its own partition systemd-boot reads entries from one only that the partition table says is for them. */
function checkExtendedBoot(linux: Linux, { boot, esp }: Places): void {
  if (boot === undefined || esp === undefined) return;
  const type = partitionType(linux, boot);
  if (type === undefined || type === extendedBootType) return;
  const state = `systemd-boot reads no entries from a partition of the type ${type}`;
  throw new OsdeployError("unsupported", `Cannot use ${boot.source} as boot partition: ${state}`, {
    facts: { hint: `Give it the type ${extendedBootType} (XBOOTLDR), with sfdisk --part-type for example` },
  });
}

/** GRUB sees a file system from its top, whatever the system that runs from it sees. */
function refuseSubvolume(root: Path, { directory }: MountedPlace): void {
  if (directory === "/") return;
  const subvolume = toText(directory as Path);
  const state = `GRUB finds no kernel at boot below it, which is in the subvolume ${subvolume} of btrfs`;
  throw new OsdeployError("unsupported", `Cannot install to "${toText(root)}": ${state}`, {
    facts: { hint: "Mount a partition of its own there; or say --bootloader none, and boot the entry by yourself" },
  });
}

function refuseNoLoader(root: Path): never {
  throw new OsdeployError("unsupported", `Cannot install to "${toText(root)}": there is no boot loader at its boot`, {
    facts: { hint: "Say --bootloader none, and boot the entries by yourself" },
  });
}

interface FirstDeployment {
  readonly request: InstallToRootRequest;
  readonly writable: WritableSystem;
  readonly image: InstallImage;
  readonly places: Places;
  readonly bootloader: BootloaderKind;
}

function deployFirst(system: System, work: FirstDeployment): InstallToRootResult {
  const { request, writable, image, places, bootloader } = work;
  const { files, paths } = writable.sysroot;
  const fileSystemUuid = (places.boot ?? places.root).uuid ?? "";
  if (request.isExisting) {
    const isPartition = places.boot !== undefined;
    const warning = adoptLoader(files, paths.boot, { bootloader, fileSystemUuid, isPartition });
    if (warning !== undefined) system.progress({ kind: "warning", message: warning });
  } else {
    const architecture = diskArchitecture(image.platform.architecture);
    makeDirectories(files, paths.root, "boot");
    const esp = places.esp && request.esp;
    addLoader(files, image, { boot: paths.boot, esp, bootloader, fileSystemUuid, architecture });
    // What comes after it syncs the other partitions.
    if (esp !== undefined) withOpen(files, esp, "directory", (fd) => files.syncFileSystem(fd));
  }
  const additions = placeRootKeys(system, image, request.rootKeys);
  if (additions.length > 0 && isDeployed(writable.state, image.rootImage)) throw keepsItsEtc();
  const espPlace = places.esp && placeOfEsp(files, image.tree, paths.boot);
  const imageReference = followedText(system, request.targetImage ?? image.reference);
  const { bootEntry, kernel } = deploy(system, {
    writable,
    repo: image.repo,
    base: undefined,
    rootImage: image.rootImage,
    tree: image.tree,
    origin: {
      imageReference,
      manifestDigest: image.manifestDigest,
      verifiedBy: image.verifiedBy,
      sealedBy: image.pulled.sealedBy,
    },
    kernelArguments: [...ownArguments(request, places, espPlace), ...request.kernelArguments],
    architecture: image.platform.architecture,
    verity: image.repo.secure ? "required" : "optional",
    finalizationLocked: false,
    isInstallation: true,
    uncounted: !hasFallback(work),
    besideOthers: request.isExisting && bootloader !== "grub",
    additions,
  });
  assert(bootEntry !== null, "nothing runs from this sysroot, so nothing is staged");
  return {
    root: toText(request.root),
    image: imageReference,
    rootImage: image.rootImage,
    kernel,
    bootEntry,
    bootloader,
    pulled: image.pulled,
  };
}

function keepsItsEtc(): OsdeployError {
  const state = "another program starts this image from here already, and its /etc stays as it is";
  return new OsdeployError("already-exists", `Cannot install keys for root: ${state}`, {
    facts: { hint: "Put the keys there yourself, and install without them" },
  });
}

/** Whether the loader could start something else: our script for GRUB chooses among our entries only. */
function hasFallback({ request, writable, bootloader }: FirstDeployment): boolean {
  if (!request.isExisting || bootloader === "grub") return false;
  const { files, paths } = writable.sysroot;
  return writable.state.menu.foreign.length > 0 || unifiedKernels(files, paths.boot).length > 0;
}

/** How the initramfs finds root, and how the partitions of loader and kernels get to their places. */
function ownArguments(
  { rootSpec, kernelArguments }: InstallToRootRequest,
  { root, boot, esp }: Places,
  espPlace: string | undefined,
): readonly string[] {
  const mounts = [
    { partition: boot, at: "/boot" },
    ...(espPlace === undefined ? [] : [{ partition: esp, at: espPlace }]),
  ];
  const flags = kernelArguments.some((word) => word.startsWith("rootflags=")) ? undefined : subvolumeArgument(root);
  return [
    `root=${rootSpec ?? `UUID=${root.uuid}`}`,
    ...(flags === undefined ? [] : [flags]),
    ...mounts.flatMap(({ partition, at }) => {
      if (partition?.uuid === undefined) return [];
      const options =
        partition.type === "vfat" ? "umask=0077,nosuid,nodev,noexec,nofail" : "nosuid,nodev,noexec,nofail";
      return [`systemd.mount-extra=UUID=${partition.uuid}:${at}:${partition.type}:${options}`];
    }),
  ];
}
