import type { OsdeployError } from "../core/errors.ts";
import type { System } from "./system.ts";

/** Tells what could not be removed, and why: it is nothing that anybody needs, and takes room. */
export function warnOfLeftovers({ progress }: Pick<System, "progress">, errors: readonly OsdeployError[]): void {
  for (const { message } of errors) {
    progress({ kind: "warning", message: `What nobody needs any more stays: ${message}` });
  }
}
