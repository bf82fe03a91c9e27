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
  /** What osdeploy itself remembers: the quarantine, boots that failed. */
  readonly records: Path;
}

/** The paths of the sysroot at `root`; `boot` is where its boot partition is mounted, if it has one elsewhere. */
export function sysrootPaths(root: Path, boot: Path = pathBelow(root, "boot")): SysrootPaths {
  return {
    root,
    repo: pathBelow(root, "composefs"),
    boot,
    deployments: pathBelow(root, "state/deploy"),
    sharedVar: pathBelow(root, "state/os/default/var"),
    records: pathBelow(root, "state/osdeploy"),
  };
}

/** The state directory of one deployment. */
export function stateDirectory(paths: SysrootPaths, rootImage: ObjectId): Path {
  return pathBelow(paths.deployments, rootImage);
}
