import { decodeText } from "../core/bytes/utf8.ts";
import { type MountLine, mountAt } from "../core/deployment/booted-root.ts";
import { unless } from "../core/errors.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { readMountinfo } from "../linux/mountinfo.ts";
import { pathBelow } from "../linux/path.ts";
import { runTool } from "./tools.ts";

/** A file system that is mounted somewhere. */
export interface MountedPlace {
  /** As the kernel calls it: `ext4`, `vfat`. */
  readonly type: string;
  /** The device. */
  readonly source: string;
  /** The directory of the file system that is mounted: `/` where that is all of it. */
  readonly directory: string;
  /** The subvolume of btrfs that this lies in; undefined for other file systems. */
  readonly subvolume: string | undefined;
  /** As `UUID=` names it; undefined where it has none. */
  readonly uuid: string | undefined;
}

/**
 * What is mounted at exactly `path`, or where its symlinks lead; undefined when that is no mount point. What is only mounted
 * when somebody looks at it is mounted by this.
 */
export function mountedPlace({ files, programs }: Linux, path: Path): MountedPlace | undefined {
  if (files.lstatIfExists(pathBelow(path, ".")) === undefined) return undefined;
  const mount = mountAt(readMountinfo(files), files.realPath(path));
  if (mount === undefined) return undefined;
  const { type, directory, subvolume } = mount;
  const source = deviceOf(files, mount);
  return { type, source, directory, subvolume, uuid: probedTag(programs, source, "UUID") };
}

/** What a kernel mounted as its root by itself, without an initramfs, is /dev/root in its list: a name that leads nowhere. */
function deviceOf(files: LinuxFiles, { source, device }: MountLine): string {
  if (source !== "/dev/root") return source;
  const told = unless("not-found", () => files.readFile(`/sys/dev/block/${device}/uevent` as Path, sysLimitBytes));
  const name = /^DEVNAME=(.+)$/m.exec(decodeText(told))?.[1];
  return name === undefined ? source : `/dev/${name}`;
}

/** Files in /sys are a page at most. */
const sysLimitBytes = 4096;

/** What the partition table says that a device is for, a GUID in small letters; undefined where it is no partition of a GPT. */
export function partitionType({ programs }: Pick<Linux, "programs">, { source }: MountedPlace): string | undefined {
  return probedTag(programs, source, "PART_ENTRY_TYPE")?.toLowerCase();
}

/** blkid looks at the device itself; what is no device, such as an overlay's name, has nothing to tell, nor has a file system that blkid does not know. */
function probedTag(programs: Linux["programs"], source: string, tag: string): string | undefined {
  if (!source.startsWith("/dev/")) return undefined;
  const words = ["--probe", "--output", "value", "--match-tag", tag, source];
  const { stdout } = runTool(programs, ["blkid", ...words], { nothingStatus: 2 });
  const value = decodeText(stdout).trim();
  return value === "" ? undefined : value;
}
