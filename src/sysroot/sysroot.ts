import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Fd, Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { makeDirectories, removeUnfinished } from "./state-directory.ts";
import { type SysrootPaths, sysrootPaths } from "./sysroot-paths.ts";

/** What may lie in a directory that is to become a sysroot: mount points and what mkfs makes. */
const harmlessNames: ReadonlySet<string> = new Set(["lost+found", "boot", "efi"]);

/**
 * A sysroot that one operation may change. To hold it is to hold its lock, an flock on its `state` directory, until
 * {@link close}; there is no second way in.
 */
export class WritableSysroot {
  readonly files: LinuxFiles;
  readonly paths: SysrootPaths;
  readonly #fd: Fd;

  /** Not to be called but by {@link openWritableSysroot}, which takes the lock first. */
  constructor(files: LinuxFiles, paths: SysrootPaths, fd: Fd) {
    this.files = files;
    this.paths = paths;
    this.#fd = fd;
  }

  /** Gives the lock back. */
  close(): void {
    this.files.close(this.#fd);
  }
}

/**
 * Opens the sysroot at `root` to change it; an empty directory becomes one. Removes what crashed runs left half-made.
 *
 * @throws OsdeployError `not-found` when there is no such directory; `already-exists` when it holds something that is no
 * sysroot; `busy` when another operation changes it.
 */
export function openWritableSysroot(linux: Linux, root: Path): WritableSysroot {
  const { files } = linux;
  const paths = sysrootPaths(root);
  refuseOtherDirectories(files, paths);
  makeDirectories(files, root, ["state", "deploy"]);
  const fd = files.open(`${root}/state` as Path, "directory");
  try {
    if (!files.lock(fd, "exclusive", { wait: false })) {
      throw new OsdeployError("busy", `Cannot change sysroot "${toText(root)}": another osdeploy is changing it`, {
        facts: { hint: "Wait for it to end, then try again" },
      });
    }
    removeUnfinished(files, paths);
    return new WritableSysroot(files, paths, fd);
  } catch (error) {
    files.close(fd);
    throw error;
  }
}

/**
 * The paths of the sysroot at `root`, to read it.
 *
 * @throws OsdeployError `not-found` when it is none.
 */
export function openSysroot(files: LinuxFiles, root: Path): SysrootPaths {
  const paths = sysrootPaths(root);
  if (files.lstatIfExists(root) === undefined) {
    throw new OsdeployError("not-found", `Cannot open sysroot "${toText(root)}": there is no such directory`);
  }
  if (files.lstatIfExists(paths.repo) === undefined && files.lstatIfExists(paths.deployments) === undefined) {
    const state = "it has neither a repo (composefs) nor deployments (state/deploy)";
    throw new OsdeployError("not-found", `Cannot open sysroot "${toText(root)}": ${state}`);
  }
  return paths;
}

/** A directory with other things in it is most likely a mistake: the root of a running system, a home. */
function refuseOtherDirectories(files: LinuxFiles, paths: SysrootPaths): void {
  const stat = files.lstat(paths.root);
  if (stat.kind !== "directory") {
    throw new OsdeployError("not-found", `Cannot use "${toText(paths.root)}" as a sysroot: it is a ${stat.kind}`);
  }
  if (files.lstatIfExists(paths.repo) !== undefined || files.lstatIfExists(paths.deployments) !== undefined) return;
  const others = files.readDirectory(paths.root).filter((name) => !harmlessNames.has(name) && name !== "state");
  if (others.length === 0) return;
  const shown = others.slice(0, 3).map(toText).join(", ");
  throw new OsdeployError(
    "already-exists",
    `Cannot use "${toText(paths.root)}" as a sysroot: it has no repo, and holds other things (${shown}${others.length > 3 ? ", …" : ""})`,
    { facts: { hint: "Name an empty directory, or a sysroot that osdeploy or bootc made" } },
  );
}
