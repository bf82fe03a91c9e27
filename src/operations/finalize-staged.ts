import { bootedDeployment, type StagedDeployment, type SysrootState } from "../core/deployment/deployment.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import type { EtcConflict } from "../core/tree/merge-etc.ts";
import type { Path } from "../linux/linux.ts";
import { openRootImage } from "../repo/object-graph.ts";
import { openRepo } from "../repo/repo.ts";
import { removeNote, writeNote } from "../sysroot/boot-records.ts";
import { findRunningSystem, physicalRoot } from "../sysroot/running-system.ts";
import { dropStaged, readStagedMarker } from "../sysroot/staged-marker.ts";
import { checkSysroot, openWritableSysroot } from "../sysroot/sysroot.ts";
import { commit } from "./deploy.ts";
import { isDeployed, writeNewState } from "./deployment-state.ts";
import type { System } from "./system.ts";
import { type WritableSystem, withWritableSystem } from "./writable-system.ts";

export interface FinalizeStagedRequest {
  readonly sysroot: Path;
}

export type FinalizeStagedResult =
  | { readonly kind: "nothing-staged" }
  /** It was only downloaded, and stays so. */
  | { readonly kind: "locked"; readonly image: string; readonly rootImage: ObjectId }
  | {
      readonly kind: "finalized";
      readonly image: string;
      readonly rootImage: ObjectId;
      readonly bootEntry: string;
      readonly etcConflicts: readonly EtcConflict[];
    };

/**
 * Commits what is staged, at shutdown: merges /etc again, as it is then, and adds the boot entry. Run again it does
 * nothing. What keeps it from that is noted for the next `status`, and the machine boots what it booted before.
 *
 * @throws OsdeployError `not-found` when another sysroot than the running system's is asked for, and there is none.
 */
export async function finalizeStaged(
  system: System,
  { sysroot }: FinalizeStagedRequest,
): Promise<FinalizeStagedResult> {
  const { files } = system.linux;
  const found = readStagedMarker(files);
  const isMarked = found.staged !== undefined || found.damage !== undefined;
  // Most shutdowns: nothing is opened, and nothing can fail.
  if (!isMarked || findRunningSystem(files, sysroot) === undefined) {
    if (sysroot !== physicalRoot) checkSysroot(files, sysroot);
    return { kind: "nothing-staged" };
  }
  try {
    return await withWritableSystem(system, { sysroot, wait: true }, (writable) => {
      const { files, paths } = writable.sysroot;
      const result = commitOnce(system, writable);
      if (result.kind === "finalized") {
        dropStaged(writable.sysroot);
        removeNote(files, paths, "finalize-failure");
      }
      return result;
    });
  } catch (error) {
    if (error instanceof OsdeployError) noteFailure(system, sysroot, error);
    throw error;
  }
}

/**
 * Opens the sysroot again, for what failed may have been the boot partition, or the menu on it. On a disk that takes nothing
 * more, the journal is all there is.
 */
function noteFailure({ linux }: System, root: Path, { message }: OsdeployError): void {
  try {
    const sysroot = openWritableSysroot(linux, root);
    try {
      if (sysroot.running === undefined) return;
      const sentence = `What was staged was not committed at shutdown: ${message}`;
      writeNote(sysroot.files, sysroot.paths, "finalize-failure", sentence);
    } finally {
      sysroot.close();
    }
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
  }
}

function commitOnce(system: System, writable: WritableSystem): FinalizeStagedResult {
  const { sysroot, state } = writable;
  const { staged } = state;
  if (staged === undefined) {
    const { damage } = readStagedMarker(sysroot.files);
    if (damage !== undefined) throw damage;
    return { kind: "nothing-staged" };
  }
  const { rootImage, origin } = staged;
  const image = origin.imageReference;
  if (staged.finalizationLocked) return { kind: "locked", image, rootImage };
  const there = committedEntry(state, staged);
  const made = there === undefined ? commitStaged(system, writable, staged) : { bootEntry: there, etcConflicts: [] };
  return { kind: "finalized", image, rootImage, ...made };
}

/** The entry that a run before this one added before it was stopped. */
function committedEntry({ menu }: SysrootState, { rootImage, sequence }: StagedDeployment): string | undefined {
  return menu.entries.find((entry) => entry.rootImage === rootImage && entry.sequence >= sequence)?.fileName;
}

function commitStaged(
  system: System,
  writable: WritableSystem,
  staged: StagedDeployment,
): { readonly bootEntry: string; readonly etcConflicts: readonly EtcConflict[] } {
  const { sysroot, state } = writable;
  checkKernel(writable, staged);
  const repo = openRepo(system.linux, sysroot.paths.repo, { access: "read", wait: true });
  try {
    const { rootImage, origin } = staged;
    const tree = openRootImage(repo, rootImage);
    const deployment = { rootImage, tree, origin, base: bootedDeployment(state) };
    const etcConflicts = isDeployed(state, rootImage) ? [] : writeNewState(system, writable, repo, deployment);
    return { bootEntry: commit(system, writable, staged).fileName, etcConflicts };
  } finally {
    repo.close();
  }
}

/** Anybody may have been at the boot partition since; an entry without its kernel would cost a boot. */
function checkKernel({ state: { lostKernels } }: WritableSystem, { origin }: StagedDeployment): void {
  if (!lostKernels.has(origin.bootDigest)) return;
  const state = `its kernel ${origin.bootDigest} is no longer on the boot partition`;
  throw new OsdeployError("not-found", `Cannot commit what is staged: ${state}`, {
    facts: { hint: "Stage it again with: osdeploy upgrade" },
  });
}
