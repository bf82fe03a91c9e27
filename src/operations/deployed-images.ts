import type { ObjectId } from "../core/digest/object-id.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { readDeploymentDirectories } from "../sysroot/state-directory.ts";
import { sysrootPaths } from "../sysroot/sysroot-paths.ts";

/**
 * The root images of the deployments of the sysroot that the repo at `path` belongs to; none for a repo of its own.
 *
 * Their tags keep them too. But a tag can be taken away, and a later osdeploy can make another root image of the same
 * manifest: what a machine boots must not depend on either.
 */
export function deployedImages(files: LinuxFiles, path: Path): readonly ObjectId[] {
  const sysroot = `${path}/..` as Path;
  if (files.lstatIfExists(sysroot) === undefined) return [];
  return readDeploymentDirectories(files, sysrootPaths(sysroot)).map(({ rootImage }) => rootImage);
}
