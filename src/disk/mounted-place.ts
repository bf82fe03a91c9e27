import { decodeText } from "../core/bytes/utf8.ts";
import { mountAt } from "../core/deployment/booted-root.ts";
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
  /** As `UUID=` names it; undefined where it has none. */
  readonly uuid: string | undefined;
}

/**
 * What is mounted at exactly `path`, which leads through no symlinks; undefined when it is no mount point. What is only mounted
 * when somebody looks at it is mounted by this.
 */
export function mountedPlace({ files, programs }: Linux, path: Path): MountedPlace | undefined {
  files.lstatIfExists(pathBelow(path, "."));
  const mount = mountAt(readMountinfo(files), absolute(files, path));
  if (mount === undefined) return undefined;
  return { type: mount.type, source: mount.source, uuid: uuidOf(programs, mount.source) };
}

/** The path from the top, in the form in which the kernel lists mounts. */
function absolute(files: LinuxFiles, path: Path): string {
  const whole = path.startsWith("/") ? path : `${files.readLink("/proc/self/cwd" as Path)}/${path}`;
  const names: string[] = [];
  for (const name of whole.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}

function uuidOf(programs: Linux["programs"], source: string): string | undefined {
  return probedTag(programs, source, "UUID");
}

/** What the partition table says that a device is for, a GUID in small letters; undefined where it is no partition of a GPT. */
export function partitionType({ programs }: Pick<Linux, "programs">, { source }: MountedPlace): string | undefined {
  return probedTag(programs, source, "PART_ENTRY_TYPE")?.toLowerCase();
}

/** blkid looks at the device itself; what is no device, such as an overlay's name, has nothing to tell. */
function probedTag(programs: Linux["programs"], source: string, tag: string): string | undefined {
  if (!source.startsWith("/dev/")) return undefined;
  const { stdout } = runTool(programs, ["blkid", "--probe", "--output", "value", "--match-tag", tag, source]);
  const value = decodeText(stdout).trim();
  return value === "" ? undefined : value;
}
