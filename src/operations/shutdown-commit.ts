import { OsdeployError } from "../core/errors.ts";
import type { System } from "./system.ts";

/** The service that commits what is staged when it is stopped. */
const service = "osdeploy-finalize-staged.service";

/**
 * Sees to it that what is staged is going to be committed at shutdown, and tells whether it is: the service has to run,
 * because its stopping is what commits. An image without it, or a boot in which it failed, would lose what is staged without
 * a word. Where there is no systemctl somebody else starts `finalize-staged`.
 */
export function isCommittedAtShutdown({ linux }: System): boolean {
  const asks = (...words: readonly string[]) => linux.programs.run(["systemctl", ...words, service]).status === 0;
  try {
    if (asks("is-active", "--quiet")) return true;
    asks("start");
    return asks("is-active", "--quiet");
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "not-found") return true;
    throw error;
  }
}

/** What is to be told where it is not. */
export const notCommittedSentence = `${service} does not run: what is staged is not committed at shutdown, but by osdeploy finalize-staged before it`;

/** Tells somebody who has just staged something that no shutdown is going to commit it. */
export function warnWhereNotCommitted(system: System): void {
  if (!isCommittedAtShutdown(system)) system.progress({ kind: "warning", message: notCommittedSentence });
}
