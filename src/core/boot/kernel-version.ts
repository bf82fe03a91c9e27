/** The first kernel whose overlayfs finds contents in a layer of their own: before it, nothing can mount a composefs root. */
const firstWithDataLayers = [6, 5, 0] as const;
/** The first kernel whose overlayfs takes `verity=require`. @see https://docs.kernel.org/filesystems/overlayfs.html#fs-verity-support */
const firstWithVerity = [6, 6, 0] as const;
/** The first kernel that mounts erofs from a file; those before need a loop device. */
const firstWithErofsFiles = [6, 12, 0] as const;
/** These answer "has no fs-verity digest" to sealed files. @see https://github.com/bootc-dev/bootc/issues/2174 */
const broken = { from: [7, 0, 0], to: [7, 0, 6] } as const;

type Version = readonly [number, number, number];

/**
 * What a kernel, by the name of its modules' directory, can do for the files of a composefs root: check them, not check them
 * (with the reason), not even find them, or nobody knows.
 */
export type KernelVerity =
  | { readonly kind: "checks" }
  | { readonly kind: "unknown" }
  | { readonly kind: "cannot" | "cannot-mount"; readonly reason: string };

/** Tells whether the kernel with this name can check the files of a composefs root. */
export function kernelVerity(name: string): KernelVerity {
  const version = parseVersion(name);
  if (version === undefined) return { kind: "unknown" };
  if (compare(version, firstWithDataLayers) < 0) {
    return {
      kind: "cannot-mount",
      reason: "overlayfs has layers for contents alone from 6.5 on, and checks files from 6.6 on",
    };
  }
  if (compare(version, firstWithVerity) < 0) {
    return { kind: "cannot", reason: "overlayfs checks files with fs-verity from 6.6 on" };
  }
  if (compare(version, broken.from) >= 0 && compare(version, broken.to) <= 0) {
    return { kind: "cannot", reason: "overlayfs of 7.0 to 7.0.6 refuses files that are sealed" };
  }
  return { kind: "checks" };
}

/** Whether the kernel with this name mounts a root image by a loop device only; false where its name does not tell. */
export function needsLoopDevice(name: string): boolean {
  const version = parseVersion(name);
  return version !== undefined && compare(version, firstWithErofsFiles) < 0;
}

function parseVersion(name: string): Version | undefined {
  const [, major, minor, patch = "0"] = /^(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?/.exec(name) ?? [];
  return major === undefined || minor === undefined ? undefined : [Number(major), Number(minor), Number(patch)];
}

function compare(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}
