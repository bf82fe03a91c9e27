import type { ObjectId } from "../core/digest/object-id.ts";
import type { Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";

/** Where things lie in a sysroot, as bootc's composefs backend has it. */
export interface SysrootPaths {
  readonly root: Path;
  readonly repo: Path;
  readonly boot: Path;
  /** One directory a deployment, named by its root image. */
  readonly deployments: Path;
  /** The /var that all deployments share. */
  readonly sharedVar: Path;
}

/** The paths of the sysroot at `root`. */
export function sysrootPaths(root: Path): SysrootPaths {
  return {
    root,
    repo: pathBelow(root, "composefs"),
    boot: pathBelow(root, "boot"),
    deployments: pathBelow(root, "state/deploy"),
    sharedVar: pathBelow(root, "state/os/default/var"),
  };
}

/** The state directory of one deployment. */
export function stateDirectory(paths: SysrootPaths, rootImage: ObjectId): Path {
  return pathBelow(paths.deployments, rootImage);
}
