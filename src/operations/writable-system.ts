import type { Bootloader, BootloaderKind } from "../bootloader/bootloader.ts";
import { openBootloader } from "../bootloader/open-bootloader.ts";
import type { SysrootState } from "../core/deployment/deployment.ts";
import type { Path } from "../linux/linux.ts";
import { type OpenOptions, openWritableSysroot, type WritableSysroot } from "../sysroot/sysroot.ts";
import { checkBootPartition } from "./boot-partition.ts";
import { inTurn } from "./in-turn.ts";
import { readSysrootState } from "./sysroot-state.ts";
import type { System } from "./system.ts";
import { warnOfLeftovers } from "./warn-of-leftovers.ts";

/** A sysroot with its boot menu, as one operation may change them; read once, when it was opened. */
export interface WritableSystem {
  readonly sysroot: WritableSysroot;
  readonly bootloader: Bootloader;
  readonly state: SysrootState;
}

/** Which sysroot, and how to get at it. */
export interface SystemRequest extends OpenOptions {
  readonly sysroot: Path;
  /** The loader of its boot partition; looked for there when not given. */
  readonly bootloader?: BootloaderKind | undefined;
}

/**
 * Opens a sysroot to change it, for the time of `use`. Its lock is taken first and here only.
 *
 * @throws OsdeployError `busy` when another operation changes it; `not-found` when its boot partition is not mounted: entries
 * would go where no loader looks.
 */
export async function withWritableSystem<T>(
  system: System,
  request: SystemRequest,
  use: (writable: WritableSystem) => Promise<T> | T,
): Promise<T> {
  const sysroot = await open(system, request);
  try {
    warnOfLeftovers(system, sysroot.leftovers);
    const { files, paths } = sysroot;
    const bootloader = openBootloader(files, { boot: paths.boot, kind: request.bootloader });
    const state = readSysrootState(sysroot, bootloader.readMenu());
    checkBootPartition(sysroot, state);
    return await use({ sysroot, bootloader, state });
  } catch (error) {
    throw sysroot.inUsersWords(error);
  } finally {
    sysroot.close();
  }
}

async function open(system: System, request: SystemRequest): Promise<WritableSysroot> {
  const { sysroot, wait = false, mayMake = false } = request;
  const openOnce = () => openWritableSysroot(system.linux, sysroot, { mayMake });
  return wait ? await inTurn(system, openOnce) : openOnce();
}
