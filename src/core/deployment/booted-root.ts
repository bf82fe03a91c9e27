import { entryOfCmdline, rootImageOfCmdline, splitCmdline, triesLeftOfCmdline } from "../boot/kernel-cmdline.ts";
import type { ObjectId } from "../digest/object-id.ts";

/** What this machine was booted from. */
export interface BootedRoot {
  readonly rootImage: ObjectId;
  /** The boot entry's name without its counters, as `osdeploy-000012`; undefined where the command line names none. */
  readonly entryId: string | undefined;
  /** Whether the loader says that it counted this boot. What says nothing may have counted all the same. */
  readonly counted: boolean;
  /** The tries that GRUB says it left to the entry; whether it could write that down only its environment shows. */
  readonly triesLeft: number | undefined;
  /** The kernel arguments, without what the loader adds. */
  readonly kernelArguments: string;
}

/** A line of `/proc/self/mountinfo`, as far as it matters here. */
export interface MountLine {
  /** `MAJOR:MINOR` of the file system's device. */
  readonly device: string;
  /** The directory of the file system that is mounted: `/` where that is all of it. */
  readonly directory: string;
  /** The subvolume of btrfs that this lies in; undefined for other file systems. */
  readonly subvolume: string | undefined;
  readonly mountPoint: string;
  readonly type: string;
  readonly source: string;
  /** Whether this mount, not its file system, is read-only. */
  readonly readOnly: boolean;
}

/** The topmost mount at exactly `path`; undefined when it is no mount point. */
export function mountAt(mountinfo: string, path: string): MountLine | undefined {
  return parseMounts(mountinfo).findLast(({ mountPoint }) => mountPoint === path);
}

/** The mount points in the directory `path` and in those below it, in the order in which they can be unmounted. */
export function mountPointsBelow(mountinfo: string, path: string): readonly string[] {
  return parseMounts(mountinfo)
    .map(({ mountPoint }) => mountPoint)
    .filter((mountPoint) => mountPoint.startsWith(`${path}/`))
    .reverse();
}

/**
 * All mounts, each above those before it where they share a mount point.
 *
 * @see https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
 */
export function parseMounts(mountinfo: string): readonly MountLine[] {
  return mountinfo.split("\n").flatMap((line) => parseLine(line) ?? []);
}

/** Only blanks part fields: whatever else looks like one is a byte of a name. A source can be empty. */
function parseLine(line: string): MountLine | undefined {
  const match = /^\d+ \d+ (\d+:\d+) ([^ ]+) ([^ ]+) ([^ ]+) (?:[^ ]+ )*?- ([^ ]+) ([^ ]*) (.*)$/s.exec(line);
  if (match === null) return undefined;
  const [, device = "", directory = "", mountPoint = "", options = "", type = "", source = "", superOptions = ""] =
    match;
  const subvolume = /(?:^|,)subvol=(.*)$/s.exec(superOptions)?.[1];
  return {
    device,
    directory: unescaped(directory),
    subvolume: subvolume && unescaped(subvolume),
    mountPoint: unescaped(mountPoint),
    type,
    source: unescaped(source),
    readOnly: options.split(",").includes("ro"),
  };
}

/** Spaces, tabs, line ends and backslashes are written in octal. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/**
 * What the machine was booted from, by the name that the initramfs gave the mount of `/` (`composefs:<hex>`; bootc writes
 * `transient:composefs=<hex>` for a root that forgets). Undefined on a machine that was booted in another way.
 *
 * The command line alone does not tell: after a soft reboot it is that of the boot before. `countedPath` is the file of the
 * entry whose boot the loader counted, as it told by way of the firmware; that outlives a kexec to another entry.
 */
export function bootedRoot(mountinfo: string, cmdline: string, countedPath = ""): BootedRoot | undefined {
  const source = mountAt(mountinfo, "/")?.source ?? "";
  const rootImage = /^(?:composefs:|transient:composefs=)([0-9a-f]{64}|[0-9a-f]{128})$/.exec(source)?.[1];
  if (rootImage === undefined) return undefined;
  const entryId = entryOfCmdline(cmdline);
  return {
    rootImage: rootImage as ObjectId,
    entryId,
    counted: entryId !== undefined && isOfEntry(countedPath, entryId),
    triesLeft: triesLeftOfCmdline(cmdline),
    kernelArguments: splitCmdline(cmdline)
      .filter((word) => !/^(BOOT_IMAGE|initrd)=/.test(word))
      .join(" "),
  };
}

/** Whether a soft reboot took another root image than the one that the command line, and so the loader, started. */
export function isSoftRebooted({ rootImage, kernelArguments }: BootedRoot): boolean {
  const started = rootImageOfCmdline(kernelArguments);
  return started !== undefined && started !== rootImage;
}

/** `\loader\entries\osdeploy-000012+2-1.conf` is of `osdeploy-000012`. */
function isOfEntry(path: string, entryId: string): boolean {
  return path.split("\\").at(-1)?.startsWith(`${entryId}+`) === true;
}
