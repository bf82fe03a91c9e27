import { toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { findRunningSystem } from "../sysroot/running-system.ts";
import type { System } from "./system.ts";

/**
 * Refuses what only makes sense for the system that is running.
 *
 * @throws OsdeployError `usage` for any other sysroot.
 */
export function requireRunning({ linux }: System, sysroot: Path, what: string): void {
  if (findRunningSystem(linux.files, sysroot) !== undefined) return;
  const state = `this machine does not run from the sysroot "${toText(sysroot)}"`;
  throw new OsdeployError("usage", `Cannot ${what}: ${state}`);
}

/**
 * Asks systemd to reboot; it returns before the machine goes down. To be called when no lock is held: what is staged is
 * committed on the way.
 *
 * @throws OsdeployError `system` when systemd refuses.
 */
export function reboot({ linux }: System): void {
  const { status, stderr } = linux.programs.run(["systemctl", "reboot"]);
  if (status === 0) return;
  throw new OsdeployError("system", `Cannot reboot: systemctl says "${stderr.trim()}"`, { facts: { status } });
}
