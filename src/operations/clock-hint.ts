import type { SysrootState } from "../core/deployment/deployment.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import type { Repo } from "../repo/repo.ts";
import { readStoredImage } from "./find-image.ts";
import type { System } from "./system.ts";

/** What a machine whose clock is wrong says of certificates that are fine. */
const timeErrors: ReadonlySet<unknown> = new Set(["CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED"]);

/**
 * Runs what asks a registry. Where a certificate is refused for its time, the error gets a hint with the clock's time, and
 * says so when that is before an image was built that is deployed here: then the clock is surely wrong.
 *
 * The clock decides nothing else: not which image is newer, nor what is kept.
 */
export async function withClockHint<T>(
  { linux }: System,
  known: { readonly repo: Repo; readonly state: SysrootState },
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof OsdeployError && timeErrors.has(error.facts["errno"]))) throw error;
    const hint = hintOf(linux.clock.now(), lastBuilt(known));
    throw new OsdeployError(error.code, error.message, { facts: { ...error.facts, hint }, cause: error.cause });
  }
}

function hintOf(now: number, built: number): string {
  const clock = `The clock of this machine says ${minutes(now)}`;
  if (now >= built) return `${clock}; if that is wrong, set it and try again`;
  return `${clock}, which is before the image that it runs was built (${minutes(built)}): set it and try again`;
}

function minutes(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** When the newest of the deployed images was built, in milliseconds since 1970; 0 where none tells. */
function lastBuilt({ repo, state }: { readonly repo: Repo; readonly state: SysrootState }): number {
  const times = state.deployments.map(({ origin }) => {
    if (origin === undefined) return 0;
    const created = unlessFailing(() => readStoredImage(repo, origin.manifestDigest).config.created);
    return Date.parse(created ?? "") || 0;
  });
  return Math.max(0, ...times);
}
