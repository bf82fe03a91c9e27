import { kernelFileNames, type StoredKernelSize } from "../core/boot/kernel-files.ts";
import { BlobHasher } from "../core/digest/blob-hasher.ts";
import { OsdeployError, unless } from "../core/errors.ts";
import { type ContentSource, copyContent, readPieces, withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { makeDirectories } from "../linux/make-directories.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import { removeLeftovers } from "../linux/remove-tree.ts";
import { failingDiskHint, unfinishedSuffix } from "./commit-file.ts";

/** A kernel and its initramfs on the boot partition, by the paths that the loader sees. */
export interface StoredKernel {
  readonly kernelPath: string;
  readonly initramfsPath: string;
}

/** What is to be put there. Several deployments with the same bytes share one copy, named by the boot digest. */
export interface NewKernel {
  /** sha256 over kernel and initramfs, lower-case hex. */
  readonly bootDigest: string;
  readonly vmlinuz: ContentSource;
  readonly initramfs: ContentSource;
}

/**
 * Puts a kernel and its initramfs on the boot partition mounted at `boot`, durable, and says how an entry names them.
 *
 * `loaderRoot` is what the loader sees before the partition's own paths: empty when `boot` is a partition of its own,
 * `/boot` when it is a directory of the root file system. Files that are there already count only if they can be read and
 * measure to the boot digest: an unclean stop can leave anything on vfat. New ones are written under temporary names,
 * synced, read again and measured before they get their names.
 *
 * @throws OsdeployError `damaged` when what was written does not measure to the boot digest.
 */
export function addKernel(files: LinuxFiles, boot: Path, kernel: NewKernel, loaderRoot: "" | "/boot"): StoredKernel {
  const directory = makeDirectories(files, boot, `osdeploy/${kernel.bootDigest}`);
  const kept = removeUnfinished(files, directory);
  if (!isWhole(files, directory, kernel.bootDigest)) {
    // What cannot be removed has the names that are to be written.
    for (const error of kept) throw error;
    writeKernel(files, directory, kernel);
  }
  withOpen(files, boot, "directory", (fd) => files.syncFileSystem(fd));
  const [vmlinuz, initramfs] = kernelFileNames;
  const seen = `${loaderRoot}/osdeploy/${kernel.bootDigest}`;
  return { kernelPath: `${seen}/${vmlinuz}`, initramfsPath: `${seen}/${initramfs}` };
}

function removeUnfinished(files: LinuxFiles, directory: Path): readonly OsdeployError[] {
  const unfinished = files.readDirectory(directory).filter((name) => name.endsWith(unfinishedSuffix));
  return removeLeftovers(
    files,
    unfinished.map((name) => childPath(directory, name)),
  );
}

/** Whether the kernel is on the boot partition, can be read, and measures to its name. Reads all of it. */
export function isKernelWhole(files: LinuxFiles, boot: Path, bootDigest: string): boolean {
  return isWhole(files, pathBelow(kernelStore(boot), bootDigest), bootDigest);
}

/** A read error makes a kernel not whole, and no more: it is written anew. */
function isWhole(files: LinuxFiles, directory: Path, bootDigest: string): boolean {
  const paths = kernelFileNames.map((name) => pathBelow(directory, name));
  if (paths.some((path) => files.lstatIfExists(path)?.kind !== "regular")) return false;
  return unless("system", () => measure(files, paths) === bootDigest) ?? false;
}

function writeKernel(files: LinuxFiles, directory: Path, { bootDigest, vmlinuz, initramfs }: NewKernel): void {
  const written = [vmlinuz, initramfs].map((content, index) => {
    const path = pathBelow(directory, `${kernelFileNames[index]}`);
    const temporary = `${path}${unfinishedSuffix}` as Path;
    copyContent(files, content, temporary);
    withOpen(files, temporary, "read", (fd) => files.sync(fd));
    return { path, temporary };
  });
  const measured = measure(
    files,
    written.map(({ temporary }) => temporary),
  );
  if (measured !== bootDigest) {
    removeUnfinished(files, directory);
    throw new OsdeployError(
      "damaged",
      `Cannot store kernel ${bootDigest}: what was written to the boot partition measures to ${measured}`,
      { facts: { bootDigest, measured, hint: failingDiskHint } },
    );
  }
  for (const { path, temporary } of written) files.rename(temporary, path, { replace: true });
}

/** The boot digest of kernel and initramfs: sha256 over one after the other, lower-case hex, as bootc computes it. */
export function measureKernel(files: LinuxFiles, sources: readonly ContentSource[]): string {
  const hasher = new BlobHasher("sha256");
  for (const source of sources) {
    if (source.kind === "bytes") hasher.update(source.bytes);
    else withOpen(files, source.path, "read", (fd) => readPieces(files, fd, (piece) => hasher.update(piece)));
  }
  return hasher.measured().replace(/^sha256:/, "");
}

function measure(files: LinuxFiles, paths: readonly Path[]): string {
  return measureKernel(
    files,
    paths.map((path) => ({ kind: "file", path })),
  );
}

/** Where a boot partition has the kernels of deployments. */
export function kernelStore(boot: Path): Path {
  return pathBelow(boot, "osdeploy");
}

/** The kernels on the boot partition, whole or not, by boot digest; what else lies there is passed over. */
export function listKernels(files: LinuxFiles, boot: Path): readonly StoredKernelSize[] {
  const store = kernelStore(boot);
  if (files.lstatIfExists(store)?.kind !== "directory") return [];
  const names = files.readDirectory(store).filter((name) => /^[0-9a-f]{64}$/.test(name));
  return names
    .map((name) => ({ bootDigest: name as string, directory: childPath(store, name) }))
    .filter(({ directory }) => files.lstat(directory).kind === "directory")
    .map(({ bootDigest, directory }) => ({ bootDigest, files: kernelSizes(files, directory) }));
}

function kernelSizes(files: LinuxFiles, directory: Path): StoredKernelSize["files"] {
  return files
    .readDirectory(directory)
    .map((name) => ({ name: name as string, sizeBytes: files.lstat(childPath(directory, name)).sizeBytes }));
}

/**
 * Takes kernels away, which no entry may name any more, and what a crash left of others; durable. Those that are gone are
 * passed over, and a directory in which somebody else put something stays with it.
 */
export function removeKernels(files: LinuxFiles, boot: Path, bootDigests: readonly string[]): void {
  const there = listKernels(files, boot).filter(({ bootDigest }) => bootDigests.includes(bootDigest));
  if (there.length === 0) return;
  for (const { bootDigest, files: contained } of there) {
    const directory = pathBelow(boot, `osdeploy/${bootDigest}`);
    const isOurs = ({ name }: { readonly name: string }) =>
      kernelFileNames.some((own) => name === own || name === `${own}${unfinishedSuffix}`);
    for (const { name } of contained.filter(isOurs)) files.unlink(pathBelow(directory, name));
    if (contained.every(isOurs)) files.removeDirectory(directory);
  }
  withOpen(files, boot, "directory", (fd) => files.syncFileSystem(fd));
}
