import { toText } from "../core/bytes/byte-string.ts";
import { mountAt } from "../core/deployment/booted-root.ts";
import { OsdeployError } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { readMountinfo } from "../linux/mountinfo.ts";
import type { System } from "./system.ts";

export interface UnmountImageRequest {
  readonly target: Path;
}

/**
 * Takes a mounted image away from a directory.
 *
 * @throws OsdeployError `not-found` when no image is mounted there, but something else or nothing; `busy` when somebody uses a
 * file in it.
 */
export async function unmountImage(system: System, request: UnmountImageRequest): Promise<{ readonly target: string }> {
  const { files, mounts } = system.linux;
  const target = files.realPath(request.target);
  const obstacle = obstacleAt(files, target);
  if (obstacle !== undefined) {
    throw new OsdeployError("not-found", `Cannot unmount an image from "${toText(request.target)}": ${obstacle}`);
  }
  mounts.unmount(target);
  return { target: toText(request.target) };
}

/** Why what is mounted at `target`, a path without symlinks, is not for us to take away; undefined when it is an image. */
function obstacleAt(files: LinuxFiles, target: Path): string | undefined {
  const mount = mountAt(readMountinfo(files), target);
  if (mount === undefined) return "nothing is mounted there";
  if (target === "/") return "it is the root of the running system";
  // Images are mounted under this name, by composefs-rs too.
  const isImage = mount.type === "overlay" && /^composefs:([0-9a-f]{64}|[0-9a-f]{128})$/.test(mount.source);
  return isImage ? undefined : `what is mounted there is no image (${mount.type})`;
}
