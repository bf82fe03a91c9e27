import type { QuarantineRecord } from "../core/deployment/quarantine.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { readQuarantine, removeQuarantine } from "../sysroot/quarantine-store.ts";
import { openSysroot } from "../sysroot/sysroot.ts";
import type { System } from "./system.ts";
import { withWritableSystem } from "./writable-system.ts";

export interface QuarantineRequest {
  readonly sysroot: Path;
}

export interface LeaveQuarantineRequest extends QuarantineRequest {
  /** A manifest's digest, or the beginning of its hex, which only one record has. */
  readonly digest: string;
}

/** What is in quarantine. */
export async function listQuarantine(
  system: System,
  { sysroot }: QuarantineRequest,
): Promise<readonly QuarantineRecord[]> {
  const { files, paths } = openSysroot(system.linux.files, sysroot);
  return readQuarantine(files, paths);
}

/**
 * Takes an image out of quarantine, so that the next upgrade may bring it.
 *
 * @throws OsdeployError `not-found` when no record, or more than one, has that digest.
 */
export async function leaveQuarantine(
  system: System,
  request: LeaveQuarantineRequest,
): Promise<{ readonly manifestDigest: ManifestDigest }> {
  return await withWritableSystem(system, request, ({ sysroot, state }) => {
    const { manifestDigest } = findRecord(state.quarantine, request.digest);
    removeQuarantine(sysroot.files, sysroot.paths, manifestDigest);
    return { manifestDigest };
  });
}

function findRecord(records: readonly QuarantineRecord[], digest: string): QuarantineRecord {
  const fits = ({ manifestDigest }: QuarantineRecord) =>
    manifestDigest.startsWith(digest) || manifestDigest.slice(manifestDigest.indexOf(":") + 1).startsWith(digest);
  const [found, second] = records.filter(fits);
  if (found !== undefined && second === undefined) return found;
  const state = found === undefined ? "it is not in quarantine" : "more than one digest in quarantine begins so";
  throw new OsdeployError("not-found", `Cannot take "${digest}" out of quarantine: ${state}`, {
    facts: { hint: "See what is in there with: osdeploy quarantine list" },
  });
}
