import { toText } from "../core/bytes/byte-string.ts";
import { decodeText } from "../core/bytes/utf8.ts";
import { mountAt, parseMounts } from "../core/deployment/booted-root.ts";
import { OsdeployError } from "../core/errors.ts";
import { kindNames } from "../core/tree/kind-names.ts";
import type { FileStat, Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { readMountinfo, readMountinfoIfThere } from "../linux/mountinfo.ts";
import { runTool } from "./tools.ts";

/** Where a disk is to be made. */
export type DiskTarget =
  /** A file, there already or not. */
  | { readonly kind: "file"; readonly path: Path; readonly exists: boolean }
  | { readonly kind: "device"; readonly path: Path; readonly sizeBytes: number; readonly sectorBytes: number };

/** The kernel gives up after as many. */
const linkLimit = 40;
/** Files in /sys are a number and a line feed. */
const sysLimitBytes = 4096;

/**
 * Looks at the place where a disk is to be made, and only looks.
 *
 * @throws OsdeployError `already-exists` when it holds something and `wipe` is not set; `busy` when it is a disk in use;
 * `permission-denied` when it is a disk that is read-only;
 * `unsupported` when it is neither a file that can be replaced nor a disk; `not-found` when the file's directory is missing, or is one of devices, of
 * which this is none.
 */
export function probeTarget(linux: Linux, named: Path, options: { readonly wipe: boolean }): DiskTarget {
  const { files } = linux;
  const path = followLinks(files, named);
  const stat = files.lstatIfExists(path);
  if (stat === undefined) {
    checkParent(files, path);
    return { kind: "file", path, exists: false };
  }
  if (stat.kind === "regular") {
    if (isAmongDevices(files, parentOf(path))) throw noDevice(path, "it is a regular file, and no device");
    if (mountAt(readMountinfoIfThere(files), files.realPath(path)) !== undefined) throw isMount(path);
    if (stat.sizeBytes > 0 && !options.wipe) throw holdsSomething(path, "there is a file already");
    return { kind: "file", path, exists: true };
  }
  if (stat.kind !== "block-device") {
    throw new OsdeployError("unsupported", `Cannot install to "${toText(path)}": it is a ${kindNames[stat.kind]}`, {
      facts: { hint: "Name a disk, or a file that is to become one" },
    });
  }
  const device = probeDevice(linux, path, stat);
  if (!options.wipe) refuseSignatures(linux, path);
  return device;
}

function parentOf(path: Path): Path {
  const slash = path.lastIndexOf("/");
  return (slash < 0 ? "." : path.slice(0, slash + 1)) as Path;
}

function checkParent(files: LinuxFiles, path: Path): void {
  const parent = parentOf(path);
  if (files.lstatIfExists(parent) === undefined) {
    throw new OsdeployError("not-found", `Cannot install to "${toText(path)}": there is no directory for it`);
  }
  if (isAmongDevices(files, parent)) throw noDevice(path, "there is no such device");
}

/** A disk whose name was mistyped would become a file in memory, which looks like a disk until the machine is switched off. */
function isAmongDevices(files: LinuxFiles, directory: Path): boolean {
  const mountinfo = readMountinfoIfThere(files);
  const real = files.realPath(directory);
  for (let place: string = real; place !== ""; place = place.slice(0, place.lastIndexOf("/"))) {
    const mount = mountAt(mountinfo, place);
    // In a container /dev is a tmpfs, and /dev/shm is a place for files everywhere.
    if (mount !== undefined) return mount.type === "devtmpfs" || place === "/dev";
    if (place === "/dev") return true;
  }
  return false;
}

function noDevice(path: Path, state: string): OsdeployError {
  return new OsdeployError("not-found", `Cannot install to "${toText(path)}": ${state}`, {
    facts: { hint: "lsblk lists the disks; a file has its place outside /dev" },
  });
}

/** No file can be renamed to what is a mount point. */
function isMount(path: Path): OsdeployError {
  const state = "it is mounted there on its own, and cannot be replaced";
  return new OsdeployError("unsupported", `Cannot install to "${toText(path)}": ${state}`, {
    facts: { hint: "Mount the directory that it is in, as into a container" },
  });
}

function probeDevice({ files }: Linux, path: Path, { rdev }: FileStat): DiskTarget {
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  const sys = `/sys/dev/block/${major}:${minor}`;
  if (files.lstatIfExists(`${sys}/partition` as Path) !== undefined) {
    throw new OsdeployError("unsupported", `Cannot install to "${toText(path)}": it is a partition`, {
      facts: { hint: "Name the whole disk, or use install to-filesystem" },
    });
  }
  // /sys counts in 512 bytes whatever the disk's own sectors are.
  const sizeBytes = readNumber(files, `${sys}/size` as Path) * 512;
  const sectorBytes = readNumber(files, `${sys}/queue/logical_block_size` as Path);
  // The kernel lets it be opened all the same, and refuses the first write.
  if (readNumber(files, `${sys}/ro` as Path) !== 0) throw readOnly(path);
  refuseUsed(files, path, { major, minor });
  return { kind: "device", path, sizeBytes, sectorBytes };
}

function readNumber(files: LinuxFiles, path: Path): number {
  return Number(decodeText(files.readFile(path, sysLimitBytes)).trim());
}

/** A disk is in use when it or a partition of it is mounted, or when the kernel does not give it to us alone (swap, LVM, RAID). */
function refuseUsed(files: LinuxFiles, path: Path, device: { readonly major: number; readonly minor: number }): void {
  const sys = `/sys/dev/block/${device.major}:${device.minor}`;
  const inside = files
    .readDirectory(`${sys}/` as Path)
    .map((name) => `${sys}/${name}/dev` as Path)
    .filter((file) => files.lstatIfExists(file) !== undefined)
    .map((file) => decodeText(files.readFile(file, sysLimitBytes)).trim());
  const numbers = new Set([`${device.major}:${device.minor}`, ...inside]);
  const mount = parseMounts(readMountinfo(files)).find((each) => numbers.has(each.device));
  if (mount !== undefined) throw inUse(path, `it is mounted at ${toText(mount.mountPoint as Path)}`);
  try {
    files.close(files.open(path, "update"));
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "busy")) throw error;
    throw inUse(path, "swap, LVM, RAID, a mount or another program has it", error);
  }
}

function readOnly(path: Path): OsdeployError {
  return new OsdeployError("permission-denied", `Cannot install to "${toText(path)}": it is read-only`, {
    facts: { hint: "It may have a switch for that; or see blockdev --setrw" },
  });
}

function inUse(path: Path, state: string, cause?: unknown): OsdeployError {
  return new OsdeployError("busy", `Cannot install to "${toText(path)}": it is in use: ${state}`, {
    facts: { hint: "Unmount what is on it, or choose another disk" },
    cause,
  });
}

/** Partition tables and file systems that wipefs knows, which is what everybody else would take the disk for. */
function refuseSignatures({ programs }: Linux, path: Path): void {
  const { stdout } = runTool(programs, ["wipefs", "--noheadings", "--output", "TYPE", toText(path)]);
  const types = [
    ...new Set(
      decodeText(stdout)
        .split("\n")
        .map((line) => line.trim()),
    ),
  ];
  const found = types.filter((type) => type !== "");
  if (found.length > 0) throw holdsSomething(path, `it holds ${found.join(", ")}`);
}

function holdsSomething(path: Path, state: string): OsdeployError {
  return new OsdeployError("already-exists", `Cannot install to "${toText(path)}": ${state}`, {
    facts: { hint: "With --wipe all that is on it is lost" },
  });
}

/** What a path leads to: names below /dev/disk are symlinks. */
function followLinks(files: LinuxFiles, path: Path): Path {
  let here = path;
  for (let links = 0; links < linkLimit; links++) {
    if (files.lstatIfExists(here)?.kind !== "symlink") return here;
    const target = files.readLink(here);
    const slash = here.lastIndexOf("/");
    here = (target.startsWith("/") || slash < 0 ? target : `${here.slice(0, slash)}/${target}`) as Path;
  }
  return here;
}
