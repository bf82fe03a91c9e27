import { toText } from "../core/bytes/byte-string.ts";
import type { VerityAlgorithm } from "../core/digest/object-id.ts";
import type { DiskStep } from "../core/disk/disk-step.ts";
import type { Uuid } from "../core/disk/uuid.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { makeInode, setMetadata, setModificationTime } from "../linux/new-inode.ts";
import { childPath } from "../linux/path.ts";
import { makeSparseFile, withLoopMount } from "./loop-mount.ts";
import { runTool } from "./tools.ts";

/** A root file system that only the kernel can fill, as a file of its own. */
export interface NewMountedRoot {
  readonly type: "btrfs" | "xfs";
  readonly file: Path;
  readonly sizeBytes: number;
  /** Those of the disk that it is for: the kernel mounts no xfs with smaller ones. */
  readonly sectorBytes: number;
  readonly uuid: Uuid;
  readonly label: string;
  /** Files with `sealedBytes` hold just these: without a tail, which is ext4's. */
  readonly steps: readonly DiskStep[];
  /** What seals the files with `sealedBytes`; undefined for no seals. */
  readonly seal: VerityAlgorithm | undefined;
}

/**
 * Makes a btrfs or xfs file system with all inodes of `steps` in it: by the kernel, through a loop device, as root.
 *
 * @throws OsdeployError `unsupported` where a tool is missing; `system` when one fails.
 */
export function makeMountedRoot(linux: Linux, made: NewMountedRoot): void {
  makeSparseFile(linux.files, made.file, made.sizeBytes);
  const file = toText(made.file);
  if (made.type === "btrfs") runTool(linux.programs, ["mkfs.btrfs", "-q", "-U", made.uuid, "-L", made.label, file]);
  else {
    const sectors = ["-s", `size=${made.sectorBytes}`];
    runTool(linux.programs, ["mkfs.xfs", "-q", "-m", `uuid=${made.uuid}`, ...sectors, "-L", made.label, file]);
  }
  withLoopMount(linux, made.file, (top) => {
    for (const step of made.steps) makeStep(linux.files, childPath(top, step.path), step);
    if (made.seal !== undefined) sealFiles(linux.files, { top, steps: made.steps, algorithm: made.seal });
    // What is made in a directory changes its time.
    for (const { path, stat } of made.steps) setModificationTime(linux.files, childPath(top, path), stat);
  });
}

function makeStep(files: LinuxFiles, path: Path, { content, stat, xattrs }: DiskStep): void {
  const inode =
    content.kind === "file" ? ({ kind: "regular", source: { kind: "file", path: content.source } } as const) : content;
  makeInode(files, path, inode);
  setMetadata(files, path, { kind: inode.kind, stat, xattrs });
}

function sealFiles(
  files: LinuxFiles,
  work: { readonly top: Path; readonly steps: readonly DiskStep[]; readonly algorithm: VerityAlgorithm },
): void {
  for (const { path, content } of work.steps) {
    if (content.kind !== "file" || content.sealedBytes === undefined) continue;
    if (files.enableVerity(childPath(work.top, path), work.algorithm)) continue;
    throw new OsdeployError("unsupported", `Cannot seal "${toText(path)}": the file system has no fs-verity any more`);
  }
}
