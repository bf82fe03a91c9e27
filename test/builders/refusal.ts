import { OsdeployError } from "../../src/core/errors.ts";

/** How something was refused: the code, and what was said. */
export function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof OsdeployError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error("It was not refused");
}
