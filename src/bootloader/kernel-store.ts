import { type ContentSource, copyContent, readPieces, withOpen } from "../linux/file-content.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";

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
 * `/boot` when it is a directory of the root file system. Files that are there already count only if their bytes are
 * right: an unclean stop can leave anything on vfat.
 */
export function addKernel(files: LinuxFiles, boot: Path, kernel: NewKernel, loaderRoot: "" | "/boot"): StoredKernel {
  const names = ["osdeploy", kernel.bootDigest];
  const directory = names.reduce<Path>((parent, name) => {
    const path = pathBelow(parent, name);
    if (files.lstatIfExists(path) === undefined) files.makeDirectory(path, 0o755);
    return path;
  }, boot);
  addFile(files, pathBelow(directory, "vmlinuz"), kernel.vmlinuz);
  addFile(files, pathBelow(directory, "initramfs.img"), kernel.initramfs);
  withOpen(files, boot, "directory", (fd) => files.syncFileSystem(fd));
  const seen = `${loaderRoot}/osdeploy/${kernel.bootDigest}`;
  return { kernelPath: `${seen}/vmlinuz`, initramfsPath: `${seen}/initramfs.img` };
}

/** Whether both files are there, whole or not: then nothing more of the partition's space is needed. */
export function hasKernel(files: LinuxFiles, boot: Path, bootDigest: string): boolean {
  const directory = pathBelow(boot, `osdeploy/${bootDigest}`);
  return ["vmlinuz", "initramfs.img"].every((name) => files.lstatIfExists(pathBelow(directory, name)) !== undefined);
}

function addFile(files: LinuxFiles, path: Path, content: ContentSource): void {
  if (files.lstatIfExists(path) !== undefined && sameBytes(files, path, content)) return;
  const temporary = `${path}.new` as Path;
  if (files.lstatIfExists(temporary) !== undefined) files.unlink(temporary);
  copyContent(files, content, temporary);
  withOpen(files, temporary, "read", (fd) => files.sync(fd));
  files.rename(temporary, path, { replace: true });
}

function sameBytes(files: LinuxFiles, path: Path, content: ContentSource): boolean {
  if (content.kind === "bytes") {
    const there = files.lstat(path);
    return there.sizeBytes === content.bytes.length && equal(files.readFile(path, content.bytes.length), content.bytes);
  }
  if (files.lstat(path).sizeBytes !== files.lstat(content.path).sizeBytes) return false;
  return withOpen(files, path, "read", (fd) => {
    let same = true;
    const other = new Uint8Array(256 * 1024);
    withOpen(files, content.path, "read", (source) =>
      readPieces(files, source, (piece) => {
        same &&= equal(readFully(files, fd, other.subarray(0, piece.length)), piece);
      }),
    );
    return same;
  });
}

function readFully(files: LinuxFiles, fd: Fd, target: Uint8Array): Uint8Array {
  let offset = 0;
  while (offset < target.length) {
    const length = files.read(fd, target, { offset, length: target.length - offset });
    if (length === 0) break;
    offset += length;
  }
  return target.subarray(0, offset);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
