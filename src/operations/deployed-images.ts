import type { Origin } from "../core/deployment/deployment.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { type DeploymentDirectory, readDeploymentDirectories } from "../sysroot/state-directory.ts";
import { sysrootPaths } from "../sysroot/sysroot-paths.ts";

/**
 * The root images of the deployments of the sysroot that the repo at `path` belongs to; none for a repo of its own.
 *
 * Their tags keep them too. But a tag can be taken away, and a later osdeploy can make another root image of the same
 * manifest: what a machine boots must not depend on either.
 */
export function deployedImages(files: LinuxFiles, path: Path): readonly ObjectId[] {
  return deploymentsOf(files, path).map(({ rootImage }) => rootImage);
}

/** What the deployments of the sysroot that the repo at `path` belongs to follow, where that can be read. */
export function deployedOrigins(files: LinuxFiles, path: Path): readonly Origin[] {
  return deploymentsOf(files, path).flatMap(({ origin }) => origin ?? []);
}

function deploymentsOf(files: LinuxFiles, path: Path): readonly DeploymentDirectory[] {
  const sysroot = `${path}/..` as Path;
  if (files.lstatIfExists(sysroot) === undefined) return [];
  return readDeploymentDirectories(files, sysrootPaths(sysroot));
}
