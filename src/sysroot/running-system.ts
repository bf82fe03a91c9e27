import { fromBytes, fromText } from "../core/bytes/byte-string.ts";
import { type BootedRoot, bootedRoot, type MountLine, mountAt } from "../core/deployment/booted-root.ts";
import { unless, unlessFailing } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { readMountinfoIfThere } from "../linux/mountinfo.ts";
import { pathBelow } from "../linux/path.ts";

/** What the running system says of itself, where it runs from a deployment of the sysroot that was asked for. */
export interface RunningSystem {
  readonly booted: BootedRoot;
  /** The boot partition's mount at /boot; undefined where the boot files lie in the sysroot itself. */
  readonly bootMount: MountLine | undefined;
}

/** Where the initramfs puts the physical root of a system that it booted. */
export const physicalRoot: Path = fromText("/sysroot");

/** Where the boot partition is mounted in a running system. */
export const bootMountPoint: Path = fromText("/boot");

/**
 * The EFI variable by which systemd-boot says of which entry it counted the boot: the path of its file.
 *
 * @see https://systemd.io/BOOT_LOADER_INTERFACE/
 */
const countedVariable: Path = fromText(
  "/sys/firmware/efi/efivars/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
);

/** The kernel takes some kilobytes of a command line, and the firmware a path. */
const limitBytes = 1024 * 1024;

/** Whether this machine runs from a deployment of the sysroot at `root`, and from which; undefined for any other sysroot. */
export function findRunningSystem(files: LinuxFiles, root: Path): RunningSystem | undefined {
  const here = files.lstatIfExists(root)?.identity;
  if (here === undefined || here !== files.lstatIfExists(physicalRoot)?.identity) return undefined;
  const mountinfo = readMountinfoIfThere(files);
  const cmdline = unless("not-found", () => fromBytes(files.readFile(fromText("/proc/cmdline"), limitBytes))) ?? "";
  const booted = bootedRoot(mountinfo, cmdline, readCountedPath(files));
  if (booted === undefined) return undefined;
  if (files.lstatIfExists(pathBelow(root, `state/deploy/${booted.rootImage}`)) === undefined) return undefined;
  return { booted, bootMount: mountAt(mountinfo, bootMountPoint) };
}

/** Four bytes of attributes, and text of the firmware's kind. What cannot be read tells nothing. */
function readCountedPath(files: LinuxFiles): string {
  const bytes = unlessFailing(() => files.readFile(countedVariable, limitBytes));
  return new TextDecoder("utf-16le").decode(bytes?.slice(4)).replaceAll("\0", "");
}
