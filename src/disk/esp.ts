import { type ByteString, toText } from "../core/bytes/byte-string.ts";
import type { Uuid } from "../core/disk/uuid.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import { runTool } from "./tools.ts";

/** An EFI system partition, or a boot partition beside one, that is to be made as a file of its own. */
export interface NewEsp {
  /** As blkid and udev show it; at most eleven capital letters. */
  readonly label: string;
  readonly file: Path;
  /** A multiple of its sectors. */
  readonly sizeBytes: number;
  /** Those of the disk that it is for: the kernel mounts no FAT with smaller ones. */
  readonly sectorBytes: number;
  /** Its first eight digits are the volume's number. */
  readonly uuid: Uuid;
  /** Seconds since 1970. */
  readonly time: number;
  /** The directory that holds what is to be on it: regular files and directories. */
  readonly content: Path;
}

/** The least number of clusters that makes a file system FAT32, of one sector each, and some for its tables. */
const leastFat32Sectors = 36 * 2048;

/**
 * Makes a FAT file system with all that is in a directory, by mkfs.vfat and mtools: without a mount, without rights, and with
 * the same bytes for the same input.
 *
 * @throws OsdeployError `unsupported` where a tool is missing; `system` when one fails.
 */
export function makeEsp({ files, programs }: Linux, made: NewEsp): void {
  const environment = { SOURCE_DATE_EPOCH: String(made.time), TZ: "UTC", MTOOLS_SKIP_CHECK: "1" };
  const file = toText(made.file);
  const number = made.uuid.slice(0, 8);
  const bits = made.sizeBytes >= leastFat32Sectors * made.sectorBytes ? ["-F", "32"] : [];
  const sectors = ["-S", String(made.sectorBytes)];
  const options = ["--invariant", ...bits, ...sectors, "-n", made.label, "-i", number, "-C", file];
  runTool(programs, ["mkfs.vfat", ...options, String(made.sizeBytes / 1024)], { environment });
  for (const path of pathsBelow(files, made.content)) {
    const source = childPath(made.content, path);
    const isDirectory = files.lstat(source).kind === "directory";
    // With -m mcopy takes the time over from the file.
    files.setTime(source, BigInt(made.time), 0);
    const target = `::/${toText(path)}`;
    runTool(programs, isDirectory ? ["mmd", "-i", file, target] : ["mcopy", "-i", file, "-m", toText(source), target], {
      environment,
    });
  }
}

/** As blkid shows the number of a FAT file system, and as `UUID=` names it: `4F68-BCE3`. */
export function fatSerial(uuid: Uuid): string {
  const digits = uuid.slice(0, 8).toUpperCase();
  return `${digits.slice(0, 4)}-${digits.slice(4)}`;
}

/** All that is in a directory, in byte order, directories before what is in them. */
export function pathsBelow(files: LinuxFiles, directory: Path): readonly ByteString[] {
  return files.readDirectory(directory).flatMap((name) => {
    const path = childPath(directory, name);
    if (files.lstat(path).kind !== "directory") return [name];
    return [name, ...pathsBelow(files, path).map((below) => childPath(name, below))];
  });
}
