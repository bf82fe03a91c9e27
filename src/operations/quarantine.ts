import type { QuarantineRecord } from "../core/deployment/quarantine.ts";
import { digestsBeginning, leastDigits } from "../core/digest/digest-beginning.ts";
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
  /** A manifest's digest, or the beginning of its hex with at least four digits, which only one record has. */
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
 * @throws OsdeployError `not-found` when no record, or more than one, has that digest; `usage` for words that are none.
 */
export async function leaveQuarantine(
  system: System,
  request: LeaveQuarantineRequest,
): Promise<{ readonly manifestDigest: ManifestDigest }> {
  const isMeant = readBeginning(request.digest);
  return await withWritableSystem(system, request, ({ sysroot, state }) => {
    const { manifestDigest } = findRecord(state.quarantine.filter(isMeant), request.digest);
    removeQuarantine(sysroot.files, sysroot.paths, manifestDigest);
    return { manifestDigest };
  });
}

/** Which records the digest, or its beginning, may mean. */
function readBeginning(digest: string): (record: QuarantineRecord) => boolean {
  const isMeant = digestsBeginning(digest);
  if (isMeant !== undefined) return ({ manifestDigest }) => isMeant(manifestDigest);
  throw refusal("usage", digest, `it is no digest, and no beginning of one with at least ${leastDigits} digits`);
}

function findRecord(meant: readonly QuarantineRecord[], digest: string): QuarantineRecord {
  const [only, second] = meant;
  if (only === undefined) throw refusal("not-found", digest, "it is not in quarantine");
  if (second === undefined) return only;
  throw refusal("not-found", digest, `it may be ${meant.map((record) => record.manifestDigest).join(" or ")}`);
}

function refusal(code: "usage" | "not-found", digest: string, state: string): OsdeployError {
  return new OsdeployError(code, `Cannot take "${digest}" out of quarantine: ${state}`, {
    facts: { hint: "See what is in there with: osdeploy quarantine list" },
  });
}
