import { commitFile, removeUnfinished } from "../bootloader/commit-file.ts";
import { bootloaderNotePath } from "../bootloader/open-bootloader.ts";
import { readSmallFile } from "../bootloader/small-file.ts";
import { isSecureBoot, planLoaderUpdate } from "../core/boot/loader-binary.ts";
import { fromBytes, fromText, toText } from "../core/bytes/byte-string.ts";
import { mountAt } from "../core/deployment/booted-root.ts";
import { OsdeployError } from "../core/errors.ts";
import type { FileTree } from "../core/tree/inode.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { readRootImage } from "../repo/object-graph.ts";
import { openRepo, type Repo } from "../repo/repo.ts";
import { findImageFile } from "./image-content.ts";
import { readContent } from "./read-content.ts";
import type { System } from "./system.ts";
import type { WritableSystem } from "./writable-system.ts";

/** A loader that was replaced, by its versions. */
export interface UpdatedLoader {
  readonly from: string;
  readonly to: string;
}

/** What the firmware of both architectures looks for, and how the image has it. */
const architectures = ["x64", "aa64"] as const;

/**
 * Puts the systemd-boot of the image that has just booted in the place of the older one on the EFI system partition, where
 * osdeploy installed that: each of its two copies by one rename, the one that the firmware starts last. What keeps it from
 * that is a warning, because a boot is no worse for an old loader. So it is with Secure Boot, where somebody else's signature
 * could be one that the firmware refuses.
 *
 * GRUB is left alone: which of its versions go together with what else lies on the disk only its distribution knows.
 */
export function updateLoader(system: System, writable: WritableSystem): UpdatedLoader | undefined {
  const { sysroot, state } = writable;
  const { files, paths } = sysroot;
  const rootImage = state.booted?.rootImage;
  if (rootImage === undefined || !isInstalledByUs(files, paths.boot)) return undefined;
  try {
    const esp = findEsp(files, paths.boot);
    const copies = esp === undefined ? [] : copiesOn(files, esp);
    if (esp === undefined || copies.length === 0) return undefined;
    const repo = openRepo(system.linux, paths.repo, { access: "read", wait: true });
    try {
      return replaceOlder(system, files, { esp, copies, repo, tree: readRootImage(repo, rootImage) });
    } finally {
      repo.close();
    }
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    system.progress({ kind: "warning", message: `The boot loader stays as it is: ${error.message}` });
    return undefined;
  }
}

/** The note that `install` leaves; beside a system that was there, the loader is that one's. */
function isInstalledByUs(files: LinuxFiles, boot: Path): boolean {
  const note = readSmallFile(files, bootloaderNotePath(boot));
  return note !== undefined && new TextDecoder().decode(note).trim() === "systemd-boot";
}

const mountsLimitBytes = 16 * 1024 * 1024;

/** The boot partition itself, or what is mounted where `install` has the EFI system partition mounted beside it. */
function findEsp(files: LinuxFiles, boot: Path): Path | undefined {
  // Not `EFI` alone: FAT knows no case, and the boot partition can have a directory `efi` for the other one.
  if (files.lstatIfExists(pathBelow(boot, "EFI/BOOT")) !== undefined) return boot;
  const mountinfo = fromBytes(files.readFile(fromText("/proc/self/mountinfo"), mountsLimitBytes));
  const place = ["/efi", "/boot/efi"].find((path) => mountAt(mountinfo, path)?.type === "vfat");
  return place === undefined ? undefined : fromText(place);
}

interface LoaderCopy {
  readonly path: Path;
  readonly architecture: (typeof architectures)[number];
}

/** Those that are there, the one that the firmware starts last. */
function copiesOn(files: LinuxFiles, esp: Path): readonly LoaderCopy[] {
  return architectures.flatMap((architecture) =>
    [`EFI/systemd/systemd-boot${architecture}.efi`, `EFI/BOOT/BOOT${architecture.toUpperCase()}.EFI`]
      .map((path) => ({ path: pathBelow(esp, path), architecture }))
      .filter(({ path }) => files.lstatIfExists(path)?.kind === "regular"),
  );
}

interface LoaderWork {
  readonly esp: Path;
  readonly copies: readonly LoaderCopy[];
  readonly repo: Repo;
  readonly tree: FileTree;
}

/** @see https://uefi.org/specs/UEFI/2.10/03_Boot_Manager.html#globally-defined-variables */
const secureBootVariable = fromText("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");

function replaceOlder(
  system: System,
  files: LinuxFiles,
  { esp, copies, repo, tree }: LoaderWork,
): UpdatedLoader | undefined {
  const secureBoot = isSecureBoot(readSmallFile(files, secureBootVariable));
  let updated: UpdatedLoader | undefined;
  // What a stopped run left takes the room of what is to come.
  for (const { path } of copies) removeUnfinished(files, path);
  for (const { path, architecture } of copies) {
    const there = readSmallFile(files, path);
    const offered = offeredLoader(repo, tree, architecture);
    if (there === undefined || offered === undefined) continue;
    const plan = planLoaderUpdate(there, offered, { secureBoot });
    if (plan.kind === "keep") continue;
    if (plan.kind === "withhold") {
      const state = `with Secure Boot only its owner knows which one the firmware takes (${plan.from}, the image has ${plan.to})`;
      system.progress({ kind: "warning", message: `The boot loader stays as it is: ${state}` });
      return undefined;
    }
    replaceLoader(files, { esp, path, bytes: offered });
    updated = { from: plan.from, to: plan.to };
  }
  return updated;
}

function offeredLoader(repo: Repo, tree: FileTree, architecture: string): Uint8Array | undefined {
  const binary = `usr/lib/systemd/boot/efi/systemd-boot${architecture}.efi`;
  const found = findImageFile(tree, [`${binary}.signed`, binary]);
  return found === undefined ? undefined : readContent(repo, found.file.content);
}

/** Room for both is needed: the old one stays until the new one is whole. */
function replaceLoader(
  files: LinuxFiles,
  { esp, path, bytes }: { readonly esp: Path; readonly path: Path; readonly bytes: Uint8Array },
): void {
  const { availableBytes } = files.space(esp);
  if (availableBytes < bytes.length) {
    const state = `${bytes.length} bytes are needed on the EFI system partition, ${availableBytes} are free`;
    throw new OsdeployError("no-space", `Cannot replace "${toText(path)}": ${state}`);
  }
  commitFile(files, esp, path, bytes, { replace: true });
}
