import { type FailedCall, systemCallError } from "../../src/linux/errno.ts";
import type { Path } from "../../src/linux/linux.ts";

/** What a call that goes wrong does: the machine stops, or the kernel answers with an errno. */
export type Fault = "crash" | "ENOSPC" | "EIO" | "EMFILE";

export interface FaultOptions {
  /** The mutating call that goes wrong, counted from 1. Without it none does. */
  readonly failAt?: number;
  /** How it goes wrong; "crash" when not given. */
  readonly fault?: Fault;
  /** Whether the write that goes wrong leaves the first half of its bytes. */
  readonly halfWritten?: boolean;
  /** Whether all mutating calls after an errno fail like it, as on a full disk. */
  readonly faultStays?: boolean;
}

/** One mutating call, as it was asked for. */
export interface TraceEntry {
  readonly call: string;
  readonly path: Path;
  readonly to?: Path;
}

/** The machine stopped here, on purpose. Not an `OsdeployError`: no code under test may handle it. */
export class SimulatedCrash extends Error {
  override readonly name = "SimulatedCrash";
}

/** Counts the mutating calls and makes one of them go wrong. */
export class Faults {
  readonly trace: TraceEntry[] = [];
  readonly #options: FaultOptions;
  #crashed = false;

  constructor(options: FaultOptions) {
    this.#options = options;
  }

  /** Every call starts here: after a crash none does anything, not even in a `finally`. */
  alive(): void {
    if (this.#crashed) throw new SimulatedCrash("The machine has stopped");
  }

  /** A mutating call starts here. `halfway` does half of it. */
  mutating(name: string, call: FailedCall, halfway?: () => void): void {
    this.alive();
    this.trace.push({ call: name, path: call.path, ...(call.to === undefined ? {} : { to: call.to }) });
    if (!this.#isDue()) return;
    const { fault = "crash", halfWritten = false } = this.#options;
    if (halfWritten) halfway?.();
    if (fault !== "crash") throw systemCallError(call, fault);
    this.#crashed = true;
    throw new SimulatedCrash(`The machine stopped at mutating call ${this.trace.length}: ${name} ${call.path}`);
  }

  #isDue(): boolean {
    const { failAt = Number.POSITIVE_INFINITY, faultStays = false } = this.#options;
    return this.trace.length === failAt || (faultStays && this.trace.length > failAt);
  }
}
