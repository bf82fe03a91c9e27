import { OsdeployError } from "../errors.ts";

/**
 * How much work a policy may cause. The image chooses regexes and paths; some pairs of them take longer than the sun
 * lasts. Steps are counted, not seconds, so that the same image ends the same way on every machine.
 */
export class WorkBudget {
  #steps: number;

  constructor(steps: number) {
    this.#steps = steps;
  }

  /**
   * Takes `steps` away.
   *
   * @throws OsdeployError `limit-exceeded` when none are left.
   */
  spend(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) {
      throw new OsdeployError("limit-exceeded", "Cannot label files: the regexes of the SELinux policy take too long");
    }
  }
}
