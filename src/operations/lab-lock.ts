import type { Lab } from "../lab/lab.ts";
import { inTurn } from "./in-turn.ts";
import type { System } from "./system.ts";

/**
 * Does `use` while nobody else builds or removes machines in this lab. To make a disk takes minutes: who waits for another run that
 * does is told so, and can be stopped.
 *
 * @throws OsdeployError `interrupted`.
 */
export async function withLockedLab<T>(system: System, lab: Lab, use: () => Promise<T>): Promise<T> {
  const free = await inTurn(system, () => lab.lock());
  try {
    return await use();
  } finally {
    free();
  }
}
