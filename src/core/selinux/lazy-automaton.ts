import { type ByteString, fromBytes } from "../bytes/byte-string.ts";
import { assert } from "../errors.ts";
import type { Instruction } from "./regex-program.ts";
import type { WorkBudget } from "./work-budget.ts";

/** All that can still become of the bytes read so far. */
interface State {
  /** The instructions that wait for a byte. */
  readonly waiting: Int32Array;
  /** The highest rule that matches if the text ends here, else -1. */
  readonly rule: number;
  /** The state after each byte; undefined where nobody asked yet. */
  readonly next: (State | undefined)[];
}

/** How much the automaton keeps before it starts afresh: some 100 MiB at worst. */
const defaultMaxStates = 40_000;
const maxWaiting = 8_000_000;

/**
 * All regular rules of a policy as one automaton that is built where texts lead it.
 *
 * A text costs one step a byte, however many rules there are; a new state costs a step for each instruction in it.
 */
export class LazyAutomaton {
  readonly #instructions: readonly Instruction[];
  readonly #budget: WorkBudget;
  /** Where the programs start that may match. */
  readonly #starts: readonly number[];
  /** In which closure an instruction was last met; saves a set for each. */
  readonly #met: Int32Array;
  #closure = 0;
  #states = new Map<ByteString, State>();
  #waiting = 0;
  #start: State | undefined;

  readonly #maxStates: number;

  constructor(
    instructions: readonly Instruction[],
    options: {
      readonly starts: readonly number[];
      readonly budget: WorkBudget;
      readonly maxStates?: number | undefined;
    },
  ) {
    this.#instructions = instructions;
    this.#starts = options.starts;
    this.#budget = options.budget;
    this.#maxStates = options.maxStates ?? defaultMaxStates;
    this.#met = new Int32Array(instructions.length);
  }

  /**
   * The highest rule that matches all of `text`; -1 for none.
   *
   * @throws OsdeployError `limit-exceeded` when the budget is used up.
   */
  match(text: ByteString): number {
    this.#budget.spend(text.length);
    this.#start ??= this.#close(this.#starts);
    let state = this.#start;
    for (let i = 0; i < text.length; i++) {
      const byte = text.charCodeAt(i);
      state = state.next[byte] ?? this.#step(state, byte);
    }
    return state.rule;
  }

  #step(state: State, byte: number): State {
    const followers: number[] = [];
    for (const at of state.waiting) {
      const instruction = this.#instructions[at];
      assert(instruction?.op === "set", "states wait at sets");
      if (instruction.set[byte] === 1) followers.push(at + 1);
    }
    this.#budget.spend(state.waiting.length);
    const next = this.#close(followers);
    state.next[byte] = next;
    return next;
  }

  /** The state of all that `seeds` lead to without a byte. */
  #close(seeds: readonly number[]): State {
    this.#closure++;
    const open = [...seeds];
    const waiting: number[] = [];
    let rule = -1;
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (this.#met[at] === this.#closure) continue;
      this.#met[at] = this.#closure;
      this.#budget.spend(1);
      const instruction = this.#instructions[at];
      assert(instruction !== undefined, "programs do not leave their instructions");
      if (instruction.op === "set") waiting.push(at);
      else if (instruction.op === "match") rule = Math.max(rule, instruction.rule);
      else if (instruction.op === "split") open.push(instruction.next, instruction.other);
      else open.push(instruction.op === "jump" ? instruction.next : at + 1);
    }
    return this.#intern(Int32Array.from(waiting).sort(), rule);
  }

  /** The one state that waits there. Which rule matches follows from what waits and what led here, so it is part of it. */
  #intern(waiting: Int32Array, rule: number): State {
    const key = `${rule}:${fromBytes(new Uint8Array(waiting.buffer))}` as ByteString;
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    this.#waiting += waiting.length;
    if (this.#states.size >= this.#maxStates || this.#waiting > maxWaiting) {
      this.#states = new Map();
      this.#start = undefined;
      this.#waiting = waiting.length;
    }
    const state: State = { waiting, rule, next: [] };
    this.#states.set(key, state);
    return state;
  }
}
