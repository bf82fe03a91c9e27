import type { BootloaderKind } from "../bootloader/bootloader.ts";
import { commitFile } from "../bootloader/commit-file.ts";
import { findGrubDirectory } from "../bootloader/grub.ts";
import { addKernel } from "../bootloader/kernel-store.ts";
import { notedBootloader, openBootloader } from "../bootloader/open-bootloader.ts";
import { type LoaderSettings, prepareBootPartition } from "../bootloader/prepare-boot-partition.ts";
import { readIfReadable } from "../bootloader/small-file.ts";
import { makeBootEntry } from "../core/boot/boot-menu.ts";
import { formatGrubStub } from "../core/boot/grub-menu.ts";
import { imageKernelArguments } from "../core/boot/image-kargs.ts";
import { findKernel } from "../core/boot/kernel.ts";
import { composefsArgument, deploymentOptions } from "../core/boot/kernel-cmdline.ts";
import { choosesAll, defaultPattern } from "../core/boot/loader-conf.ts";
import { type LoaderFiles, loaderFiles } from "../core/boot/loader-files.ts";
import { fromText, toText } from "../core/bytes/byte-string.ts";
import { decodeText, encodeText } from "../core/bytes/utf8.ts";
import type { DiskArchitecture } from "../core/disk/disk-architecture.ts";
import { OsdeployError } from "../core/errors.ts";
import type { FileTree } from "../core/tree/inode.ts";
import { findDirectory } from "../core/tree/tree-path.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { makeDirectories, makeParents } from "../linux/make-directories.ts";
import { pathBelow } from "../linux/path.ts";
import { kernelSources } from "./boot-files.ts";
import { findImageFile, readKargsFiles, readOsRelease } from "./image-content.ts";
import type { InstallImage } from "./install-image.ts";
import { readContent } from "./read-content.ts";

/** The boot partition of a new machine. */
export interface NewBootPartition {
  /** The directory that is, or becomes, the boot partition. */
  readonly boot: Path;
  /** The same of the EFI system partition, where that is another one. */
  readonly esp?: Path | undefined;
  readonly bootloader: BootloaderKind;
  readonly architecture: DiskArchitecture;
  /** The UUID of the boot partition's file system, as blkid shows it. */
  readonly fileSystemUuid: string;
}

/** What the boot partition of a new machine is to hold. */
export interface BootPartitionRequest extends NewBootPartition {
  /** Kernel arguments that find the root file system, then those of the user. */
  readonly kernelArguments: readonly string[];
  readonly verity: "required" | "optional";
}

/** What was put on a boot partition. */
export interface InstalledBoot {
  readonly bootEntry: string;
  readonly kernel: string;
  readonly bootDigest: string;
}

const menuSeconds = 3;

/**
 * Fills an empty boot partition: kernel and initramfs, the loader from the image, its settings, and last the first boot
 * entry, which is not counted because there is nothing to fall back to.
 *
 * @throws OsdeployError `not-bootable` when the image has no such loader.
 */
export function fillBootPartition(
  files: LinuxFiles,
  image: InstallImage,
  request: BootPartitionRequest,
): InstalledBoot {
  const { boot, bootloader } = request;
  const { repo, tree } = image;
  const kernel = findKernel(tree);
  const newKernel = kernelSources(repo, kernel);
  const stored = addKernel(files, boot, newKernel, "");
  addLoader(files, image, request);
  const entry = makeBootEntry({
    sequence: 1,
    rootImage: image.rootImage,
    osRelease: readOsRelease(repo, tree),
    ...stored,
    options: bootOptions(image, request),
  });
  const added = openBootloader(files, { boot, kind: bootloader }).addEntry(entry);
  return { bootEntry: added.fileName, kernel: kernel.version, bootDigest: newKernel.bootDigest };
}

function bootOptions({ repo, tree, rootImage, platform }: InstallImage, request: BootPartitionRequest): string {
  const after = imageKernelArguments(readKargsFiles(repo, tree), platform.architecture);
  return deploymentOptions({
    inherited: request.kernelArguments.join(" "),
    rootArgument: composefsArgument(rootImage, request.verity),
    imageArguments: { before: [], after },
  });
}

function loaderSettings({ bootloader, fileSystemUuid, esp }: NewBootPartition): LoaderSettings {
  switch (bootloader) {
    case "systemd-boot":
      return { kind: bootloader, timeoutSeconds: menuSeconds, esp };
    case "grub":
      return { kind: bootloader, fileSystemUuid, directory: grubDirectory, timeoutSeconds: menuSeconds };
    case "none":
      return { kind: bootloader };
  }
}

const grubDirectory = "/grub";

/**
 * Puts the boot loader of an image onto a boot partition, with its settings: one that is empty, or where that was begun before.
 *
 * @throws OsdeployError `not-bootable` when the image has no such loader; `already-exists` where another one is in its place,
 * before anything is written there.
 */
export function addLoader(files: LinuxFiles, image: InstallImage, request: NewBootPartition): void {
  addBinaries(files, image, request);
  prepareBootPartition(files, request.boot, loaderSettings(request));
}

/**
 * Lets the GRUB of a system that is there show osdeploy's entries: its `grub.cfg` sources `custom.cfg`, as Debian's and most
 * others' do. Other loaders find entries by themselves; what systemd-boot's settings say of the default is only read.
 *
 * @returns a warning where somebody has to do something; a whole sentence without period.
 */
export function adoptLoader(
  files: LinuxFiles,
  boot: Path,
  loader: { readonly bootloader: BootloaderKind; readonly fileSystemUuid: string; readonly isPartition: boolean },
): string | undefined {
  if (loader.bootloader === "systemd-boot") return defaultWarning(files, boot);
  if (loader.bootloader === "none") return undefined;
  const directory = findGrubDirectory(files, boot) ?? pathBelow(boot, "grub");
  const name = directory.slice(directory.lastIndexOf("/"));
  const settings = { fileSystemUuid: loader.fileSystemUuid, directory: `${loader.isPartition ? "" : "/boot"}${name}` };
  prepareBootPartition(files, boot, { kind: "grub", ...settings, timeoutSeconds: menuSeconds });
  const custom = pathBelow(directory, "custom.cfg");
  const there = files.lstatIfExists(custom);
  const line = `source "\${config_directory}/osdeploy.cfg"\n`;
  // Nobody writes an empty one on purpose: something was stopped before it had its bytes.
  if (there === undefined || (there.kind === "regular" && there.sizeBytes === 0)) {
    commitFile(files, boot, custom, encodeText(line), { replace: true });
    return undefined;
  }
  // What cannot be read, as a link that somebody made, is not written to either.
  if (decodeText(readIfReadable(files, custom)).includes("osdeploy.cfg")) return undefined;
  return `GRUB's ${toText(custom)} is somebody else's: add the line ${line.trim()} to it, or no entry of osdeploy is shown`;
}

/** A default of somebody else's comes before the order in which our entries are the first. */
function defaultWarning(files: LinuxFiles, boot: Path): string | undefined {
  const path = pathBelow(boot, "loader/loader.conf");
  // What cannot be read here the loader cannot read, and it is only warned of.
  const pattern = defaultPattern(decodeText(readIfReadable(files, path)));
  if (pattern === undefined || choosesAll(pattern, "osdeploy-")) return undefined;
  const state = `says default ${JSON.stringify(pattern)}, so the loader starts that`;
  return `${toText(path)} is somebody else's and ${state}: take the line out`;
}

/**
 * Where an EFI system partition beside the boot partition is mounted: at /efi, or in a directory of the boot partition, because
 * nobody can make one in the root of an image.
 */
export function placeOfEsp(files: LinuxFiles, tree: FileTree, boot: Path): "/efi" | "/boot/efi" {
  if (findDirectory(tree, fromText("efi")) !== undefined) return "/efi";
  makeDirectories(files, boot, "efi");
  return "/boot/efi";
}

/** A file of the loader's on the EFI system partition. */
interface LoaderFile {
  readonly path: Path;
  readonly bytes: Uint8Array;
}

/** The largest loader, GRUB with all its modules, has three megabytes. */
const loaderLimitBytes = 32 * 1024 * 1024;

/**
 * Each of them is whole when it has its name. One that is there already with the same bytes stays, and where a note says that
 * osdeploy installed this loader here before, others are replaced: a stopped installation can be run again.
 */
function addBinaries(files: LinuxFiles, image: InstallImage, request: NewBootPartition): void {
  const { boot, esp = boot, bootloader } = request;
  if (bootloader === "none") return;
  const missing = [
    ...(bootloader === "grub" ? grubStubs(image, request) : []),
    ...copiesOf(image, loaderFiles(bootloader, request.architecture.efiName)),
  ]
    .map(({ onEsp, bytes }) => ({ onEsp, path: pathBelow(esp, onEsp), bytes }))
    .filter((file) => !isThere(files, file));
  if (notedBootloader(files, boot) !== bootloader) refuseOthers(files, missing);
  for (const { onEsp, path, bytes } of missing) {
    makeParents(files, esp, onEsp);
    commitFile(files, esp, path, bytes, { replace: true });
  }
}

function isThere(files: LinuxFiles, { path, bytes }: LoaderFile): boolean {
  // What cannot be read is not the image's.
  const there = readIfReadable(files, path, loaderLimitBytes);
  return there !== undefined && Buffer.compare(there, bytes) === 0;
}

function refuseOthers(files: LinuxFiles, missing: readonly LoaderFile[]): void {
  const other = missing.find(({ path }) => files.lstatIfExists(path) !== undefined);
  if (other === undefined) return;
  const state = "it is there already, and is not the image's";
  throw new OsdeployError("already-exists", `Cannot install the boot loader as "${toText(other.path)}": ${state}`, {
    facts: { hint: "Move it away when nothing else is started by it, or choose another partition" },
  });
}

interface LoaderContent {
  readonly onEsp: string;
  readonly bytes: Uint8Array;
}

/** A GRUB that is one file looks for its configuration in the directory that its distribution built into it. */
function grubStubs({ repo, tree }: InstallImage, { fileSystemUuid }: NewBootPartition): readonly LoaderContent[] {
  const { id } = readOsRelease(repo, tree);
  const bytes = encodeText(formatGrubStub({ fileSystemUuid, directory: grubDirectory }));
  const vendors = new Set(["debian", id.toLowerCase()].filter((name) => /^[a-z0-9._-]+$/.test(name)));
  return ["BOOT", ...vendors].map((directory) => ({ onEsp: `EFI/${directory}/grub.cfg`, bytes }));
}

/** The loader's binary under each of its names; the one that the firmware looks for comes last. */
function copiesOf({ repo, tree }: InstallImage, { inImage, onEsp }: LoaderFiles): readonly LoaderContent[] {
  const found = findImageFile(tree, inImage);
  if (found === undefined) {
    const state = `it has no boot loader: there is no /${inImage.at(-1)}`;
    throw new OsdeployError("not-bootable", `Cannot install this image: ${state}`, {
      facts: { hint: "Choose another one with --bootloader, or use an image that has it" },
    });
  }
  const bytes = readContent(repo, found.file.content);
  return onEsp.map((path) => ({ onEsp: path, bytes }));
}
