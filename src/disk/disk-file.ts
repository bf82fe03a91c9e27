import { toText } from "../core/bytes/byte-string.ts";
import type { Extent } from "../core/disk/disk-layout.ts";
import { type PartitionTable, writePartitionTable } from "../core/disk/gpt.ts";
import { unlessFailing } from "../core/errors.ts";
import { readPieces, withOpen } from "../linux/file-content.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import type { DiskTarget } from "./disk-target.ts";
import { makeSparseFile } from "./loop-mount.ts";
import { runTool } from "./tools.ts";

/** Copies a file to its place on a disk. On a sparse target zeros stay holes; on a device they are written. */
export function copyToDisk(
  files: LinuxFiles,
  source: Path,
  target: { readonly path: Path; readonly offsetBytes: number; readonly isSparse: boolean },
): void {
  withOpen(files, target.path, "update", (to) => {
    let position = target.offsetBytes;
    withOpen(files, source, "read", (from) =>
      readPieces(files, from, (piece) => {
        if (!target.isSparse || piece.some((byte) => byte !== 0)) files.writeAt(to, piece, position);
        position += piece.length;
      }),
    );
    files.sync(to);
  });
}

/** A disk that is being written. */
export interface OpenDisk {
  /** What the tools write to. */
  readonly path: Path;
  /** Whether it is a new file, full of holes. */
  readonly isSparse: boolean;
  /** Gives it its partitions, and its name where it is a file. Durable when it returns. */
  commit(table: PartitionTable): void;
}

/** How a disk is to be written. */
export interface DiskOptions {
  readonly diskBytes: number;
  /** Where the root file system is to be. */
  readonly root: Extent;
  readonly format: "raw" | "qcow2";
  /** A directory of one's own, on the file system of a target that is a file: it is there until it is whole. */
  readonly staging: Path;
}

/** Opens the target for writing: a new file in `staging`, or the disk itself, where what tells what it was is cleared first. */
export function openDisk(linux: Linux, target: DiskTarget, options: DiskOptions): OpenDisk {
  return target.kind === "device" ? openDevice(linux, target.path, options) : openFile(linux, target.path, options);
}

function openDevice({ files, programs }: Linux, path: Path, options: DiskOptions): OpenDisk {
  clearSignatures(files, path, options);
  return {
    path,
    isSparse: false,
    commit: (table) => {
      writeTable(files, path, table);
      // The disk is whole. A kernel that cannot look at its partitions now does it at the next start.
      unlessFailing(() => programs.run(["blockdev", "--rereadpt", toText(path)]));
    },
  };
}

function openFile({ files, programs }: Linux, target: Path, { diskBytes, format, staging }: DiskOptions): OpenDisk {
  const path = pathBelow(staging, "disk.img");
  const converted = pathBelow(staging, "disk.qcow2");
  makeSparseFile(files, path, diskBytes);
  return {
    path,
    isSparse: true,
    commit: (table) => {
      writeTable(files, path, table);
      if (format === "qcow2") {
        runTool(programs, ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", toText(path), toText(converted)]);
      }
      const finished = format === "qcow2" ? converted : path;
      files.setPermissions(finished, 0o600);
      withOpen(files, finished, "read", (fd) => {
        files.sync(fd);
        files.rename(finished, target);
        files.sync(fd);
      });
    },
  };
}

/** The partition table is what makes a disk of the rest, and so comes when the rest is durable. */
function writeTable(files: LinuxFiles, path: Path, table: PartitionTable): void {
  withOpen(files, path, "update", (fd) => {
    files.sync(fd);
    for (const { offsetBytes, bytes } of writePartitionTable(table)) files.writeAt(fd, bytes, offsetBytes);
    files.sync(fd);
  });
}

/**
 * Takes away what others would take the disk or its root partition for: partition tables, and file systems that were there before.
 * mkfs.ext4 leaves some of them, such as the labels of ZFS at the end, and what may be two things is none to those who look for
 * the UUID of one.
 */
function clearSignatures(files: LinuxFiles, path: Path, { diskBytes, root }: DiskOptions): void {
  const zeros = new Uint8Array(1024 * 1024);
  withOpen(files, path, "update", (fd) => {
    for (const { offsetBytes, sizeBytes } of [{ offsetBytes: 0, sizeBytes: diskBytes }, root]) {
      files.writeAt(fd, zeros, offsetBytes);
      files.writeAt(fd, zeros, offsetBytes + sizeBytes - zeros.length);
    }
    files.sync(fd);
  });
}
