import type { Linux, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import type { Repo } from "../repo/repo.ts";
import { findRunningSystem, physicalRoot } from "../sysroot/running-system.ts";
import { sysrootPaths } from "../sysroot/sysroot-paths.ts";
import { inUsersWords, usersPath } from "../sysroot/users-words.ts";
import { openRepoInTurn } from "./in-turn.ts";
import type { System } from "./system.ts";

/**
 * Opens the repo at `path` to change it, for the time of `use`. That of the running system lies on a mount that is
 * read-only: it is changed through a sight of it that only this process has, whose paths `use` can turn into those of users.
 *
 * @throws OsdeployError as {@link openRepoInTurn} does.
 */
export async function withWritableRepo<Access extends "write" | "exclusive", T>(
  system: System,
  options: { readonly path: Path; readonly access: Access },
  use: (repo: Repo<Access>, usersPathOf: (path: Path) => Path) => Promise<T> | T,
): Promise<T> {
  const { path, access } = options;
  const { linux } = system;
  if (!isOfRunningSystem(linux, path)) {
    return await withRepoAt(system, path, access, (repo) => use(repo, (each) => each));
  }
  const view = linux.mounts.openWritable(physicalRoot);
  const views = [{ path: view.path, shown: physicalRoot }];
  try {
    return await withRepoAt(system, sysrootPaths(view.path).repo, access, (repo) =>
      use(repo, (each) => usersPath(each, views)),
    );
  } catch (error) {
    throw inUsersWords(error, views);
  } finally {
    view.close();
  }
}

function isOfRunningSystem({ files }: Linux, path: Path): boolean {
  const { repo } = sysrootPaths(physicalRoot);
  const identity = files.lstatIfExists(pathBelow(path, "."))?.identity;
  if (identity === undefined || identity !== files.lstatIfExists(repo)?.identity) return false;
  return findRunningSystem(files, physicalRoot) !== undefined;
}

async function withRepoAt<Access extends "write" | "exclusive", T>(
  system: System,
  path: Path,
  access: Access,
  use: (repo: Repo<Access>) => Promise<T> | T,
): Promise<T> {
  const repo = await openRepoInTurn(system, path, access);
  try {
    return await use(repo);
  } finally {
    repo.close();
  }
}
