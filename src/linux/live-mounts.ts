import { closeSync } from "node:fs";
import { resolve } from "node:path";
import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import { checked, libc, toCString } from "./libc.ts";
import type { LinuxMounts, Path } from "./linux.ts";
import { pathOf } from "./live-call.ts";
import { attachLoopDevice } from "./loop-device.ts";
import {
  attachMount,
  cloneWritable,
  detachMount,
  type MountSetting,
  makeMount,
  openPlace,
  withDescriptor,
} from "./mount-context.ts";

/** A composefs root image and where it goes. */
export type ComposefsMount = Parameters<LinuxMounts["mountComposefs"]>[0];

/** Mounts of the running kernel. */
export const liveMounts: LinuxMounts = {
  mountComposefs: (mount) => {
    withDescriptor(mountRootImage(mount.image), (erofs) => {
      withDescriptor(openPlace(mount.objects), (objects) => {
        const overlay = firstThatWorks([
          () => overlayByDescriptors(mount, erofs, objects),
          () => overlayByPaths(mount, erofs, objects),
        ]);
        withDescriptor(overlay, () => attachMount(overlay, mount.target));
      });
    });
  },
  unmount: (target) => {
    checked(libc().umount2(toCString(target), 0), { verb: "unmount", path: target });
  },
  openWritable: (path) => {
    const mount = cloneWritable(path);
    return { path: fromText(`/proc/self/fd/${mount}`), close: () => closeSync(mount) };
  },
};

function mountRootImage(image: Path): number {
  try {
    return erofsFromFile(image);
  } catch (refused) {
    if (!(refused instanceof OsdeployError)) throw refused;
    return erofsFromLoopInstead(image, refused);
  }
}

/** What the kernel said of the file tells more, unless that was only that it wants a device. */
function erofsFromLoopInstead(image: Path, refused: OsdeployError): number {
  try {
    return erofsFromLoop(image);
  } catch (error) {
    throw refused.facts["errno"] === "ENOTBLK" ? error : refused;
  }
}

/** Since Linux 6.12 erofs reads an image from a file. */
export function erofsFromFile(image: Path): number {
  // A relative source would be looked up in the kernel's idea of the working directory; workers share it, but be plain.
  const source = image.startsWith("/") ? image : (`${resolve(".")}/${image}` as ByteString);
  return makeMount("erofs", [["source", source]], image);
}

/** Before Linux 6.12 erofs wants a block device, and says ENOTBLK to a file. */
export function erofsFromLoop(image: Path): number {
  return withDescriptor(attachLoopDevice(image), (loop) =>
    // The device detaches itself when the mount, its last user, is gone.
    makeMount("erofs", [["source", pathOf(loop)]], image),
  );
}

function commonSettings(mount: ComposefsMount): readonly MountSetting[] {
  const settings: MountSetting[] = [
    ["source", mount.name],
    ["metacopy", fromText("on")],
    ["redirect_dir", fromText("on")],
  ];
  if (mount.verity) settings.push(["verity", fromText("require")]);
  return settings;
}

/** The erofs is never visible: Linux 6.15 and later take a mount that is nowhere as a layer. */
export function overlayByDescriptors(mount: ComposefsMount, erofs: number, objects: number): number {
  const layers: readonly MountSetting[] = [
    ["lowerdir+", erofs],
    ["datadir+", objects],
  ];
  return makeMount("overlay", [...commonSettings(mount), ...layers], mount.image);
}

/**
 * Older kernels take only layers that are mounted somewhere. The erofs is at the target for that moment; the overlay then
 * holds it by itself. Names of descriptors keep long paths and colons out of the settings, which end at 255 bytes.
 */
export function overlayByPaths(mount: ComposefsMount, erofs: number, objects: number): number {
  attachMount(erofs, mount.target);
  try {
    return withDescriptor(openPlace(mount.target), (root) => {
      const [lower, data] = [fromText(`/proc/self/fd/${root}`), fromText(`/proc/self/fd/${objects}`)];
      const forms: readonly (readonly MountSetting[])[] = [
        [
          ["lowerdir+", lower],
          ["datadir+", data],
        ],
        [["lowerdir", fromText(`${lower}::${data}`)]],
      ];
      return firstThatWorks(
        forms.map((layers) => () => makeMount("overlay", [...commonSettings(mount), ...layers], mount.image)),
      );
    });
  } finally {
    detachMount(mount.target);
  }
}

/** The first way that the kernel accepts. When it accepts none, the error is that of the last, the oldest way. */
function firstThatWorks(ways: readonly (() => number)[]): number {
  let last: unknown;
  for (const way of ways) {
    try {
      return way();
    } catch (error) {
      if (!(error instanceof OsdeployError)) throw error;
      last = error;
    }
  }
  throw last;
}
