import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import { kindNames } from "../core/tree/kind-names.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { makeDirectories } from "../linux/make-directories.ts";
import { pathBelow } from "../linux/path.ts";
import { removeLeftovers } from "../linux/remove-tree.ts";
import { lockHolder } from "./lock-holder.ts";
import { bootMountPoint, findRunningSystem, type RunningSystem } from "./running-system.ts";
import { listUnfinished } from "./state-directory.ts";
import { type SysrootPaths, sysrootPaths } from "./sysroot-paths.ts";
import { inUsersWords, usersPath, type View } from "./users-words.ts";

/** What may lie in a directory that is to become a sysroot: mount points and what mkfs makes. */
const harmlessNames: ReadonlySet<string> = new Set(["lost+found", "boot", "efi"]);

/** How a sysroot is opened to change it. */
export interface OpenOptions {
  /** Whether the thread sleeps in the kernel until another operation has ended. */
  readonly wait?: boolean;
  /** Whether an empty directory becomes a sysroot: only for who brings a deployment. */
  readonly mayMake?: boolean;
}

/** A sysroot, and how it stands to the running system. */
export interface Sysroot {
  readonly files: LinuxFiles;
  readonly paths: SysrootPaths;
  /** Undefined for a sysroot that this machine does not run from. */
  readonly running: RunningSystem | undefined;
}

/**
 * A sysroot that one operation may change. To hold it is to hold its lock, an flock on its `state` directory, until
 * {@link close}; there is no second way in.
 *
 * In a running system the physical root is mounted read-only: the paths then lead through a sight of it that only this
 * process has.
 */
export class WritableSysroot implements Sysroot {
  readonly files: LinuxFiles;
  readonly paths: SysrootPaths;
  readonly running: RunningSystem | undefined;
  /** What kept leftovers of earlier runs there when it was opened. */
  readonly leftovers: readonly OsdeployError[];
  readonly #opened: Opened;

  /** Not to be called but by {@link openWritableSysroot}, which takes the lock first. */
  constructor({ files, paths, running }: Sysroot, leftovers: readonly OsdeployError[], opened: Opened) {
    this.files = files;
    this.paths = paths;
    this.running = running;
    this.leftovers = leftovers;
    this.#opened = opened;
  }

  /** An error that names {@link paths}, by the names that users know. */
  inUsersWords<T>(error: T): T | OsdeployError {
    return inUsersWords(error, this.#opened.views);
  }

  /** Something in {@link paths}, by the name that users know. */
  usersPath(path: Path): Path {
    return usersPath(path, this.#opened.views);
  }

  /** Gives the lock back. */
  close(): void {
    closeAll(this.#opened);
  }
}

/** What a sysroot that is being opened holds already. */
interface Opened {
  readonly views: View[];
  readonly closers: (() => void)[];
}

function closeAll({ closers }: Opened): void {
  for (const each of closers.splice(0).reverse()) each();
}

/**
 * Opens the sysroot at `root` to change it. Removes what crashed runs left half-made; what cannot be removed stays, and is
 * told.
 *
 * @throws OsdeployError `not-found` when there is none; with `mayMake` `already-exists` when the directory holds something
 * that is no sysroot; `busy` when another operation changes it and `wait` is false.
 */
export function openWritableSysroot(linux: Linux, root: Path, options: OpenOptions = {}): WritableSysroot {
  const { files } = linux;
  const { wait = false, mayMake = false } = options;
  checkDirectory(files, root, { mayMake });
  const running = findRunningSystem(files, root);
  const opened: Opened = { views: [], closers: [] };
  try {
    const paths = writablePaths(linux, { root, running, opened });
    makeDirectories(files, paths.root, "state/deploy");
    const fd = files.open(pathBelow(paths.root, "state"), "directory");
    opened.closers.push(() => files.close(fd));
    if (!files.lock(fd, "exclusive", { wait })) throw busy(root, lockHolder(files, files.fstat(fd)));
    const leftovers = removeLeftovers(files, listUnfinished(files, paths));
    const told = leftovers.map((error) => inUsersWords(error, opened.views));
    return new WritableSysroot({ files, paths, running }, told, opened);
  } catch (error) {
    closeAll(opened);
    throw inUsersWords(error, opened.views);
  }
}

/** The paths by which a sysroot can be written to, whether or not its mounts are read-only. */
function writablePaths(
  { mounts }: Linux,
  sysroot: { readonly root: Path; readonly running: RunningSystem | undefined; readonly opened: Opened },
): SysrootPaths {
  const { root, running, opened } = sysroot;
  if (running === undefined) return sysrootPaths(root);
  const writable = (path: Path): Path => {
    const view = mounts.openWritable(path);
    opened.closers.push(view.close);
    opened.views.push({ path: view.path, shown: path });
    return view.path;
  };
  const physical = writable(root);
  if (running.bootMount === undefined) return sysrootPaths(physical);
  return sysrootPaths(physical, running.bootMount.readOnly ? writable(bootMountPoint) : bootMountPoint);
}

function busy(root: Path, holder: string | undefined): OsdeployError {
  const who = holder ?? "another osdeploy";
  return new OsdeployError("busy", `Cannot change sysroot "${toText(root)}": ${who} is changing it`, {
    facts: { hint: "Wait for it to end, then try again", ...(holder !== undefined && { holder }) },
  });
}

/**
 * The sysroot at `root`, to read it.
 *
 * @throws OsdeployError `not-found` when it is none.
 */
export function openSysroot(files: LinuxFiles, root: Path): Sysroot {
  const running = findRunningSystem(files, root);
  const paths = sysrootPaths(root, ...(running?.bootMount === undefined ? [] : [bootMountPoint]));
  checkSysroot(files, root);
  if (!isSysroot(files, paths)) throw noSysroot(root);
  return { files, paths, running };
}

/** @throws OsdeployError `not-found` when there is nothing at `root`. */
export function checkSysroot(files: LinuxFiles, root: Path): void {
  if (files.lstatIfExists(root) !== undefined) return;
  throw new OsdeployError("not-found", `Cannot open sysroot "${toText(root)}": there is no such directory`, {
    facts: {
      hint: "Mount its file system there first, or name another place with --sysroot DIR; for a new one make an empty directory",
    },
  });
}

function isSysroot(files: LinuxFiles, { repo, deployments }: SysrootPaths): boolean {
  return files.lstatIfExists(repo) !== undefined || files.lstatIfExists(deployments) !== undefined;
}

/** An empty mount point, most likely. */
function noSysroot(root: Path): OsdeployError {
  const state = "it has neither a repo (composefs) nor deployments (state/deploy)";
  return new OsdeployError("not-found", `Cannot open sysroot "${toText(root)}": ${state}`, {
    facts: { hint: "Mount its file system there first, or name another place with --sysroot DIR" },
  });
}

function checkDirectory(files: LinuxFiles, root: Path, { mayMake }: { readonly mayMake: boolean }): void {
  checkSysroot(files, root);
  const { kind } = files.lstat(root);
  if (kind !== "directory") {
    throw new OsdeployError("not-found", `Cannot use "${toText(root)}" as a sysroot: it is a ${kindNames[kind]}`);
  }
  if (isSysroot(files, sysrootPaths(root))) return;
  if (!mayMake) throw noSysroot(root);
  refuseOtherThings(files, root);
}

/** A directory with other things in it is most likely a mistake: the root of a running system, a home. */
function refuseOtherThings(files: LinuxFiles, root: Path): void {
  const others = files.readDirectory(root).filter((name) => !harmlessNames.has(name) && name !== "state");
  if (others.length === 0) return;
  const shown = others.slice(0, 3).map(toText).join(", ");
  throw new OsdeployError(
    "already-exists",
    `Cannot use "${toText(root)}" as a sysroot: it has no repo, and holds other things (${shown}${others.length > 3 ? ", …" : ""})`,
    { facts: { hint: "Name an empty directory, or a sysroot that osdeploy or bootc made" } },
  );
}
