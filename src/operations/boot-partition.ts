import { kernelStore } from "../bootloader/kernel-store.ts";
import { toText } from "../core/bytes/byte-string.ts";
import { type BootPartitionVerdict, judgeBootPartition, starterOf } from "../core/deployment/boot-partition.ts";
import type { SysrootState } from "../core/deployment/deployment.ts";
import { keptArguments } from "../core/deployment/kept-arguments.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Sysroot } from "../sysroot/sysroot.ts";

/** Whether the menu that a state was read with is that of its sysroot. */
function findBootPartition({ files, paths, running }: Sysroot, state: SysrootState): BootPartitionVerdict {
  const isMounted = running?.bootMount !== undefined;
  // A running system has a starter, which is enough to know.
  const hasKernelStore = running === undefined && files.lstatIfExists(kernelStore(paths.boot))?.kind === "directory";
  return judgeBootPartition(state, { isMounted, hasKernelStore });
}

/**
 * Refuses a menu that is not the sysroot's: what is written there no loader reads, and what it lacks would be taken for garbage. A
 * first deployment that was stopped can be gone on with.
 *
 * @throws OsdeployError `not-found`.
 */
export function checkBootPartition(sysroot: Sysroot, state: SysrootState): BootPartitionVerdict {
  const verdict = findBootPartition(sysroot, state);
  if (verdict === "found" || verdict === "fresh" || verdict === "unfinished") return verdict;
  const { running, paths } = sysroot;
  const boot = toText(paths.boot);
  const entries = `${boot}/loader/entries`;
  const lacks =
    running === undefined
      ? `no entry in ${entries} starts a deployment of this sysroot`
      : `this system was started by ${starterOf(running.booted)}, which is not in ${entries}`;
  const advice =
    running === undefined
      ? `Mount the boot partition of this sysroot at ${boot}, then try again`
      : verdict === "other"
        ? "Mount the boot partition at /boot in place of what is there, then try again"
        : "Mount the boot partition at /boot, then try again";
  throw new OsdeployError("not-found", `Cannot find the boot partition: ${lacks}`, { facts: { hint: advice } });
}

/**
 * Refuses to take anything away where no entry starts any of the deployments: all of them would go.
 *
 * @throws OsdeployError `not-found`.
 */
export function checkCollectable(sysroot: Sysroot, state: SysrootState): void {
  if (checkBootPartition(sysroot, state) !== "unfinished") return;
  const lacks = `no entry in ${toText(sysroot.paths.boot)}/loader/entries starts any deployment`;
  throw new OsdeployError("not-found", `Cannot tell which deployments are needed: ${lacks}`, {
    facts: { hint: "Finish the first deployment, or make one again, with: osdeploy switch" },
  });
}

/**
 * Refuses a boot partition that takes no entry, as after an error of its file system: at shutdown nobody would be told.
 *
 * @throws OsdeployError `permission-denied`.
 */
export function checkBootWritable({ files, paths: { boot } }: Sysroot): void {
  if (files.lstatIfExists(boot) === undefined || !files.space(boot).readOnly) return;
  const path = toText(boot);
  throw new OsdeployError(
    "permission-denied",
    `Cannot write to the boot partition "${path}": its file system is read-only`,
    {
      facts: {
        hint: `It may have errors: see journalctl -k, and check it with fsck.vfat. Writable again: mount -o remount,rw ${path}`,
      },
    },
  );
}

/** What is to be told of a menu that is not the sysroot's, or has nothing of it. */
export function bootPartitionProblem(sysroot: Sysroot, state: SysrootState): string | undefined {
  const { booted } = state;
  const boot = toText(sysroot.paths.boot);
  const lacks =
    booted === undefined
      ? "no boot entry there starts a deployment of this sysroot"
      : `${booted.entryId === undefined ? "" : "entry "}${starterOf(booted)}, which started this system, is not there`;
  const kept = keptArguments(state) === undefined ? "" : "; switch takes the kernel arguments that were kept";
  const sentences: Readonly<Record<BootPartitionVerdict, string | undefined>> = {
    found: undefined,
    fresh: undefined,
    unfinished: `No boot entry in ${boot} starts a deployment: the first one was not finished, or the entries are lost${kept}`,
    "no-entries": `The boot partition is not mounted at ${boot}: ${lacks}`,
    other: `What is mounted at ${boot} is not the boot partition: ${lacks}`,
    "not-mounted": `The boot partition is not mounted at /boot: ${lacks}`,
  };
  return sentences[findBootPartition(sysroot, state)];
}
