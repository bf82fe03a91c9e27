import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { openRepo, type Repo, type RepoAccess } from "../repo/repo.ts";
import { checkInterrupted, type System } from "./system.ts";

const pollMs = 200;

/**
 * What `open` gives, once nobody else has what it needs. Somebody waits for this who may be told why, and may want an end: a
 * thread that slept in the kernel would hear of no signal.
 *
 * @throws OsdeployError `interrupted`; what `open` throws, but `busy`.
 */
export async function inTurn<T>(system: System, open: () => T): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof OsdeployError && error.code === "busy")) throw error;
      if (tries === 0) system.progress({ kind: "warning", message: `${error.message}: waiting for it to end` });
    }
    checkInterrupted(system.signal);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

/** Opens a repo once its lock is free. @throws OsdeployError what `openRepo` throws, but `busy`; `interrupted`. */
export async function openRepoInTurn<Access extends RepoAccess>(
  system: System,
  path: Path,
  access: Access,
): Promise<Repo<Access>> {
  return await inTurn(system, () => openRepo(system.linux, path, { access, wait: false }));
}
