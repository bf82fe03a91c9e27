import { createHash } from "node:crypto";
import { openBootloader } from "../../src/bootloader/open-bootloader.ts";
import { blsField } from "../../src/core/boot/bls-entry.ts";
import type { BootEntry } from "../../src/core/boot/boot-menu.ts";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import type { SystemSnapshot } from "../../src/core/deployment/invariants.ts";
import type { ObjectId } from "../../src/core/digest/object-id.ts";
import type { Linux, Path } from "../../src/linux/linux.ts";
import { imageObjects } from "../../src/repo/object-graph.ts";
import { readObject } from "../../src/repo/read-object.ts";
import { openRepo, type Repo } from "../../src/repo/repo.ts";
import { imagesPath } from "../../src/repo/repo-paths.ts";
import { findRunningSystem } from "../../src/sysroot/running-system.ts";
import { readStagedMarker } from "../../src/sysroot/staged-marker.ts";
import { readDeploymentDirectories } from "../../src/sysroot/state-directory.ts";
import { openSysroot, type Sysroot } from "../../src/sysroot/sysroot.ts";
import { sysrootPaths } from "../../src/sysroot/sysroot-paths.ts";

/** What the invariants need to know of the sysroot at `root`, read from the disk and measured byte by byte. */
export function takeSnapshot(linux: Linux, root: Path): SystemSnapshot {
  const { paths, running } = openSysrootIfThere(linux, root);
  const menu = openBootloader(linux.files, { boot: paths.boot }).readMenu();
  const isComplete = (names: readonly string[]) => bootFilesComplete(linux, { root, boot: paths.boot, names });
  const staged = running === undefined ? undefined : readStagedMarker(linux.files).staged;
  return {
    bootEntries: menu.entries.map((entry) => ({ ...entry, bootFilesComplete: isComplete(bootFileNames(entry)) })),
    booted: running?.booted.rootImage,
    staged: staged && {
      rootImage: staged.rootImage,
      bootFilesComplete: isComplete([staged.boot.kernelPath, staged.boot.initramfsPath]),
    },
    // A state directory without a whole origin is not complete.
    stateDirectories: new Set(
      readDeploymentDirectories(linux.files, paths)
        .filter(({ origin }) => origin !== undefined)
        .map(({ rootImage }) => rootImage),
    ),
    rootImages: readRootImages(linux, paths.repo),
  };
}

/** One that is just being made is none yet. */
function openSysrootIfThere(linux: Linux, root: Path): Pick<Sysroot, "paths" | "running"> {
  const running = findRunningSystem(linux.files, root);
  return running === undefined ? { paths: sysrootPaths(root), running } : openSysroot(linux.files, root);
}

function bootFileNames({ entry }: BootEntry): readonly string[] {
  return ["linux", "initrd"].map((key) => blsField(entry, key) ?? "");
}

/** The directory's name is the sha256 of both files: it tells whether they are whole. */
function bootFilesComplete(
  { files }: Linux,
  { root, boot, names }: { readonly root: Path; readonly boot: Path; readonly names: readonly string[] },
): boolean {
  const hash = createHash("sha256");
  for (const name of names) {
    // As the loader sees it: from the top of the boot partition, or of the file system that /boot is a directory of.
    const path = fromText(name.startsWith("/boot/") ? `${root}${name}` : `${boot}${name}`);
    if (files.lstatIfExists(path) === undefined) return false;
    hash.update(files.readFile(path, 1 << 24));
  }
  return names.every((name) => name.includes("/osdeploy/")) && names[0]?.split("/").at(-2) === hash.digest("hex");
}

function readRootImages(linux: Linux, repoPath: Path): SystemSnapshot["rootImages"] {
  if (linux.files.lstatIfExists(fromText(`${repoPath}/meta.json`)) === undefined) return new Map();
  const repo = openRepo(linux, repoPath, { access: "read", wait: true });
  try {
    const names = linux.files.readDirectory(imagesPath(repoPath)).filter((name) => /^[0-9a-f]+$/.test(name));
    return new Map(
      names.map((name) => [name as string as ObjectId, { badObjects: badObjects(repo, name as string as ObjectId) }]),
    );
  } finally {
    repo.close();
  }
}

function badObjects(repo: Repo, rootImage: ObjectId): readonly ObjectId[] {
  return imageObjects(repo, rootImage).filter((id) => {
    try {
      readObject(repo, id, 1 << 24);
      return false;
    } catch {
      return true;
    }
  });
}
