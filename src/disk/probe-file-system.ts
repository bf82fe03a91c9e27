import { fromText, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";

/** Of a kind that every file system with extended attributes for the system keeps; overlayfs needs it for an /etc of its own. */
const probeAttribute = fromText("trusted.osdeploy-probe");

/**
 * Finds out what a mounted file system can do before anything is put there, by a file that is gone again when this returns:
 * whether it takes files, symlinks and extended attributes, and whether files can be sealed with fs-verity.
 *
 * That files can share blocks is not asked: they are copied where they cannot, and nothing is refused for it. Neither is
 * overlayfs, because the kernel that mounts the root is that of the image.
 *
 * @throws OsdeployError `unsupported` where it cannot hold a sysroot; `permission-denied` where it is read-only.
 */
export function probeFileSystem({ files, clock }: Linux, root: Path): { readonly canSeal: boolean } {
  const probe = pathBelow(root, `.osdeploy-probe-${clock.randomName()}`);
  const link = `${probe}-link` as Path;
  try {
    files.writeNewFile(probe, new Uint8Array(1), 0o600);
    needs(root, "symlinks", () => files.symlink(probeAttribute, link));
    needs(root, "extended attributes", () => files.setXattr(probe, probeAttribute, fromText("1")));
    return { canSeal: files.enableVerity(probe, "sha512") };
  } finally {
    for (const path of [link, probe]) removeIfThere(files, path);
  }
}

function needs(root: Path, what: string, tryOut: () => void): void {
  try {
    tryOut();
  } catch (error) {
    const isKnown =
      error instanceof OsdeployError && (error.code === "unsupported" || error.facts["errno"] === "EPERM");
    if (!isKnown) throw error;
    throw new OsdeployError("unsupported", `Cannot install to "${toText(root)}": its file system takes no ${what}`, {
      facts: { hint: "Use ext4 (made with -O verity) or btrfs, and install as root" },
      cause: error,
    });
  }
}

function removeIfThere(files: LinuxFiles, path: Path): void {
  if (files.lstatIfExists(path) !== undefined) files.unlink(path);
}
