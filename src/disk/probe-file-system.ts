import { fromText, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { openStagingDirectory } from "./staging-directory.ts";

/** Of a kind that every file system with extended attributes for the system keeps; overlayfs needs it for an /etc of its own. */
const probeAttribute = fromText("trusted.osdeploy-probe");

/**
 * Finds out what a mounted file system can do before anything is put there, by a file that is gone again when this returns,
 * or with the next installation where this was killed: whether it takes files, symlinks and extended attributes, and whether files can be sealed with fs-verity.
 *
 * That files can share blocks is not asked: they are copied where they cannot, and nothing is refused for it. Neither is
 * overlayfs, because the kernel that mounts the root is that of the image.
 *
 * @throws OsdeployError `unsupported` where it cannot hold a sysroot; `permission-denied` where it is read-only, or the caller
 * may not set attributes for the system.
 */
export function probeFileSystem(linux: Linux, root: Path): { readonly canSeal: boolean } {
  const { files } = linux;
  const directory = openStagingDirectory(linux, root);
  try {
    const probe = pathBelow(directory.path, "file");
    files.writeNewFile(probe, new Uint8Array(1), 0o600);
    trySymlink(files, root, pathBelow(directory.path, "link"));
    tryAttribute(files, root, probe);
    return { canSeal: files.enableVerity(probe, "sha512") };
  } finally {
    directory.close();
  }
}

/** FAT answers EPERM. */
function trySymlink(files: LinuxFiles, root: Path, link: Path): void {
  try {
    files.symlink(probeAttribute, link);
  } catch (error) {
    if (isUnsupported(error) || isNotPermitted(error)) throw takesNo(root, "symlinks", error);
    throw error;
  }
}

function tryAttribute(files: LinuxFiles, root: Path, probe: Path): void {
  try {
    files.setXattr(probe, probeAttribute, fromText("1"));
  } catch (error) {
    if (isUnsupported(error)) throw takesNo(root, "extended attributes", error);
    if (!isNotPermitted(error)) throw error;
    const state = "attributes for the system (trusted.*) need CAP_SYS_ADMIN";
    throw new OsdeployError("permission-denied", `Cannot install to "${toText(root)}": ${state}`, {
      facts: { hint: "Install as root, in a container with --privileged" },
      cause: error,
    });
  }
}

function isUnsupported(error: unknown): boolean {
  return error instanceof OsdeployError && error.code === "unsupported";
}

function isNotPermitted(error: unknown): boolean {
  return error instanceof OsdeployError && error.facts["errno"] === "EPERM";
}

function takesNo(root: Path, what: string, cause: unknown): OsdeployError {
  return new OsdeployError("unsupported", `Cannot install to "${toText(root)}": its file system takes no ${what}`, {
    facts: { hint: "Use ext4 (made with -O verity) or btrfs" },
    cause,
  });
}
