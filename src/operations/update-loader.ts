import { nameFinished, removeUnfinished, writeUnfinished } from "../bootloader/commit-file.ts";
import { notedBootloader } from "../bootloader/open-bootloader.ts";
import { readIfReadable } from "../bootloader/small-file.ts";
import { isSecureBoot, type LoaderUpdate, planLoaderUpdate } from "../core/boot/loader-binary.ts";
import { type LoaderFiles, loaderFiles } from "../core/boot/loader-files.ts";
import { largestClusterBytes } from "../core/boot/plan-boot-space.ts";
import { countBytes } from "../core/bytes/byte-count.ts";
import { fromText, toText } from "../core/bytes/byte-string.ts";
import { mountAt } from "../core/deployment/booted-root.ts";
import { OsdeployError } from "../core/errors.ts";
import type { FileTree } from "../core/tree/inode.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { makeDirectories } from "../linux/make-directories.ts";
import { readMountinfo } from "../linux/mountinfo.ts";
import { pathBelow } from "../linux/path.ts";
import { openRootImage } from "../repo/object-graph.ts";
import { openRepo, type Repo } from "../repo/repo.ts";
import { readSmallFile } from "../sysroot/durable-file.ts";
import { findImageFile } from "./image-content.ts";
import { readContent } from "./read-content.ts";
import type { System } from "./system.ts";
import type { WritableSystem } from "./writable-system.ts";

/** A loader that was replaced, by its versions. */
export interface UpdatedLoader {
  readonly from: string;
  readonly to: string;
  /** Where the one before is, from the top of the EFI system partition. */
  readonly older: string;
}

/** What the firmware of both architectures looks for, and how the image has it. */
const architectures = ["x64", "aa64"] as const;

/** The largest loader, GRUB with all its modules, has three megabytes. */
const loaderLimitBytes = 32 * 1024 * 1024;

/**
 * Puts the boot loader of the image that has just booted in the place of the older one on the EFI system partition, where
 * osdeploy installed that: each of its copies by one exchange of names, the one that the firmware starts last. The older one
 * stays beside them, for who has to go back. What keeps it from that is a warning, because a boot is no worse for an old
 * loader. So it is with Secure Boot, where somebody else's signature could be one that the firmware refuses.
 */
export function updateLoader(system: System, writable: WritableSystem): UpdatedLoader | undefined {
  const { sysroot, state } = writable;
  const { files, paths } = sysroot;
  const rootImage = state.booted?.rootImage;
  const loader = installedLoader(files, paths.boot);
  if (rootImage === undefined || loader === undefined) return undefined;
  try {
    const esp = findEsp(files, paths.boot);
    const places = esp === undefined ? [] : placesOn(files, esp, loader);
    if (esp === undefined || places.length === 0) return undefined;
    const repo = openRepo(system.linux, paths.repo, { access: "read", wait: true });
    try {
      const usersPathOf = (path: Path) => sysroot.usersPath(path);
      const work = { esp, repo, tree: openRootImage(repo, rootImage), usersPathOf };
      // A disk is started by one architecture; what another one finds there is replaced as well.
      return places.map((place) => replaceOlder(system, files, { ...work, place })).find((each) => each !== undefined);
    } finally {
      repo.close();
    }
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    warn(system, sysroot.inUsersWords(error).message);
    return undefined;
  }
}

function warn(system: System, why: string): void {
  system.progress({ kind: "warning", message: `The boot loader stays as it is: ${why}` });
}

/** By the note that `install` leaves; beside a system that was there, or without a note that can be read, the loader stays. */
function installedLoader(files: LinuxFiles, boot: Path): "systemd-boot" | "grub" | undefined {
  const noted = notedBootloader(files, boot);
  return noted === "none" ? undefined : noted;
}

/** The boot partition itself, or what is mounted where `install` has the EFI system partition mounted beside it. */
function findEsp(files: LinuxFiles, boot: Path): Path | undefined {
  // Not `EFI` alone: FAT knows no case, and the boot partition can have a directory `efi` for the other one.
  if (files.lstatIfExists(pathBelow(boot, "EFI/BOOT")) !== undefined) return boot;
  const mountinfo = readMountinfo(files);
  const place = ["/efi", "/boot/efi"].find((path) => mountAt(mountinfo, path)?.type === "vfat");
  return place === undefined ? undefined : fromText(place);
}

/** The files of a loader, of which those are on the partition that are named in `copies`, the firmware's last. */
interface LoaderPlace {
  readonly loader: LoaderFiles;
  readonly copies: readonly Path[];
}

function placesOn(files: LinuxFiles, esp: Path, kind: "systemd-boot" | "grub"): readonly LoaderPlace[] {
  return architectures
    .map((architecture) => loaderFiles(kind, architecture))
    .map((loader) => ({
      loader,
      copies: loader.onEsp
        .map((path) => pathBelow(esp, path))
        .filter((path) => files.lstatIfExists(path)?.kind === "regular"),
    }))
    .filter(({ copies }) => copies.length > 0);
}

interface LoaderWork {
  readonly esp: Path;
  readonly place: LoaderPlace;
  readonly repo: Repo;
  readonly tree: FileTree;
  readonly usersPathOf: (path: Path) => Path;
}

/** @see https://uefi.org/specs/UEFI/2.10/03_Boot_Manager.html#globally-defined-variables */
const secureBootVariable = fromText("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");

function replaceOlder(
  system: System,
  files: LinuxFiles,
  { esp, place, repo, tree, usersPathOf }: LoaderWork,
): UpdatedLoader | undefined {
  const older = pathBelow(esp, place.loader.older);
  // What a stopped run left takes the room of what is to come.
  for (const path of [...place.copies, older]) removeUnfinished(files, path);
  const offered = offeredLoader(repo, tree, place.loader);
  if (offered === undefined) return undefined;
  // Where it is there and cannot be read, Secure Boot may be on.
  const secureBoot = isSecureBoot(readSmallFile(files, secureBootVariable));
  const replaced = place.copies.flatMap((path): readonly ReplacedCopy[] => {
    // A copy that cannot be read stays: nobody knows how old it is.
    const there = readIfReadable(files, path, loaderLimitBytes);
    const plan: LoaderUpdate =
      there === undefined ? { kind: "keep" } : planLoaderUpdate(there, offered, { secureBoot });
    return there === undefined || plan.kind === "keep" ? [] : [{ path, there, plan }];
  });
  const last = replaced.at(-1);
  if (last === undefined) return undefined;
  const { from, to } = last.plan;
  if (last.plan.kind === "withhold") {
    warn(system, `with Secure Boot only its owner knows which one the firmware takes (${from}, the image has ${to})`);
    return undefined;
  }
  if (isPutBack(files, older, replaced)) {
    warn(system, `somebody put ${from} back; without ${toText(usersPathOf(older))} it is replaced again by ${to}`);
    return undefined;
  }
  exchangeLoaders(files, { esp, older, replaced, offered });
  return { from, to, older: place.loader.older };
}

interface ReplacedCopy {
  readonly path: Path;
  readonly there: Uint8Array;
  readonly plan: Exclude<LoaderUpdate, { readonly kind: "keep" }>;
}

function offeredLoader(repo: Repo, tree: FileTree, { inImage }: LoaderFiles): Uint8Array | undefined {
  const found = findImageFile(tree, inImage);
  return found === undefined ? undefined : readContent(repo, found.file.content);
}

/**
 * The one before gets its name last, so only somebody else can have made them the same. One that cannot be read is none to
 * go back to, and is made anew.
 */
function isPutBack(files: LinuxFiles, older: Path, replaced: readonly ReplacedCopy[]): boolean {
  const kept = readIfReadable(files, older, loaderLimitBytes);
  return kept !== undefined && replaced.some(({ there }) => Buffer.compare(there, kept) === 0);
}

interface Exchange {
  readonly esp: Path;
  readonly older: Path;
  readonly replaced: readonly ReplacedCopy[];
  readonly offered: Uint8Array;
}

function exchangeLoaders(files: LinuxFiles, { esp, older, replaced, offered }: Exchange): void {
  const there = replaced.at(-1)?.there ?? offered;
  checkRoom(files, esp, { there, offered });
  makeDirectories(files, esp, "EFI/osdeploy");
  writeUnfinished(files, esp, older, there);
  for (const { path } of replaced) {
    writeUnfinished(files, esp, path, offered);
    nameFinished(files, esp, path, { replace: true });
  }
  nameFinished(files, esp, older, { replace: true });
}

/** Room for two more, and a directory: the one before is kept, and each copy stays until the new one is whole. */
function checkRoom(
  files: LinuxFiles,
  esp: Path,
  { there, offered }: { readonly there: Uint8Array; readonly offered: Uint8Array },
): void {
  const { availableBytes } = files.space(esp);
  const clusters = [there, offered].map(({ length }) => Math.ceil(length / largestClusterBytes));
  const neededBytes = clusters.reduce((sum, count) => sum + count, 1) * largestClusterBytes;
  if (neededBytes <= availableBytes) return;
  const state = `${countBytes(neededBytes)} are needed on the EFI system partition, ${countBytes(availableBytes)} are free`;
  throw new OsdeployError("no-space", `Cannot replace the boot loader: ${state}`, {
    facts: { neededBytes, availableBytes },
  });
}
