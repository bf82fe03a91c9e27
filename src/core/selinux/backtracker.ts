import type { ByteString } from "../bytes/byte-string.ts";
import { assert, OsdeployError } from "../errors.ts";
import { otherCase, wordBytes } from "./byte-set.ts";
import type { Assertion } from "./regex.ts";
import type { Instruction } from "./regex-program.ts";
import type { WorkBudget } from "./work-budget.ts";

/** Choices that may be open at once: bounds memory where the budget bounds time. */
const maxOpenChoices = 1_000_000;

/** A way not yet tried, or a register to be set back on the way to it. */
type Choice =
  | { readonly kind: "way"; readonly at: number; readonly place: number }
  | { readonly kind: "register"; readonly register: number; readonly value: number };

/**
 * Runs programs that finite automata cannot, one way after the other. Its stack is its own, so that neither text nor
 * regex can overflow the engine's; its steps are counted.
 */
export class Backtracker {
  readonly #instructions: readonly Instruction[];
  readonly #budget: WorkBudget;
  #text = "";
  #registers: number[] = [];

  constructor(instructions: readonly Instruction[], budget: WorkBudget) {
    this.#instructions = instructions;
    this.#budget = budget;
  }

  /**
   * Whether the program matches `text` from the byte at `from` on; to its end only if the program says so.
   *
   * @throws OsdeployError `limit-exceeded`.
   */
  matches(program: { readonly start: number; readonly registers: number }, text: ByteString, from = 0): boolean {
    this.#budget.spend(program.registers);
    this.#text = text;
    this.#registers = new Array<number>(program.registers).fill(-1);
    return this.#run(program.start, from) !== undefined;
  }

  /** Where the first way to match from `start` ends; registers keep what it set. */
  #run(start: number, place: number): number | undefined {
    const choices: Choice[] = [{ kind: "way", at: start, place }];
    for (let choice = choices.pop(); choice !== undefined; choice = choices.pop()) {
      if (choice.kind === "register") {
        this.#registers[choice.register] = choice.value;
        continue;
      }
      const end = this.#follow(choice.at, choice.place, choices);
      if (end !== undefined) return end;
    }
    return undefined;
  }

  /** Goes one way until it matches or fails. Ways that branch off are put on `choices`. */
  #follow(start: number, startPlace: number, choices: Choice[]): number | undefined {
    let at = start;
    let place = startPlace;
    for (;;) {
      this.#budget.spend(1);
      const instruction = this.#instructions[at];
      assert(instruction !== undefined, "programs do not leave their instructions");
      switch (instruction.op) {
        case "match":
          return place;
        case "set":
          if (instruction.set[this.#text.charCodeAt(place)] !== 1) return undefined;
          place++;
          at++;
          break;
        case "jump":
          at = instruction.next;
          break;
        case "split":
          pushChoice(choices, { kind: "way", at: instruction.other, place });
          at = instruction.next;
          break;
        case "progress":
          at = this.#register(instruction.register) === place ? instruction.other : at + 1;
          break;
        default: {
          const after = this.#special(instruction, place, choices);
          if (after === undefined) return undefined;
          place = after;
          at = "next" in instruction ? instruction.next : at + 1;
        }
      }
    }
  }

  /** The place after an instruction that does not branch; undefined when it does not hold. */
  #special(
    instruction: Exclude<Instruction, { op: "match" | "set" | "jump" | "split" | "progress" }>,
    place: number,
    choices: Choice[],
  ): number | undefined {
    switch (instruction.op) {
      case "save":
        pushChoice(choices, {
          kind: "register",
          register: instruction.register,
          value: this.#register(instruction.register),
        });
        this.#registers[instruction.register] = place;
        return place;
      case "assert":
        return this.#holds(instruction.what, place) ? place : undefined;
      case "look":
        return this.#look(instruction, place) ? place : undefined;
      case "atomic":
        return this.#runAtomic(instruction.start, place, choices);
      default:
        return this.#referBack(instruction, place);
    }
  }

  #register(register: number): number {
    // Programs come with the number of registers that they use.
    return this.#registers[register] as number;
  }

  #holds(what: Assertion, place: number): boolean {
    const atEnd = place === this.#text.length;
    switch (what) {
      case "start":
        return place === 0;
      case "end":
        return atEnd;
      case "end-or-line-end":
        return atEnd || (place === this.#text.length - 1 && this.#text.charCodeAt(place) === 0x0a);
      default: {
        const isBorder = this.#isWord(place - 1) !== this.#isWord(place);
        return isBorder === (what === "word");
      }
    }
  }

  #isWord(place: number): boolean {
    return wordBytes[this.#text.charCodeAt(place)] === 1;
  }

  #look(instruction: Extract<Instruction, { op: "look" }>, place: number): boolean {
    const from = place - instruction.lengthBack;
    this.#budget.spend(this.#registers.length);
    const registers = [...this.#registers];
    const found = from >= 0 && this.#run(instruction.start, from) !== undefined;
    if (!found || instruction.negative) this.#registers = registers;
    return found !== instruction.negative;
  }

  #runAtomic(start: number, place: number, choices: Choice[]): number | undefined {
    this.#budget.spend(this.#registers.length);
    const before = [...this.#registers];
    const end = this.#run(start, place);
    before.forEach((value, register) => {
      if (this.#register(register) !== value) pushChoice(choices, { kind: "register", register, value });
    });
    return end;
  }

  #referBack(instruction: Extract<Instruction, { op: "backreference" }>, place: number): number | undefined {
    const start = this.#register(instruction.register);
    const length = this.#register(instruction.register + 1) - start;
    // A group that took no part matches nothing, not even the empty string.
    if (this.#register(instruction.register + 1) < 0 || length < 0) return undefined;
    this.#budget.spend(length);
    for (let i = 0; i < length; i++) {
      const [expected, found] = [this.#text.charCodeAt(start + i), this.#text.charCodeAt(place + i)];
      if (found !== expected && !(instruction.ignoreCase && found === otherCase(expected))) return undefined;
    }
    return place + length;
  }
}

function pushChoice(choices: Choice[], choice: Choice): void {
  if (choices.length >= maxOpenChoices) {
    throw new OsdeployError(
      "limit-exceeded",
      "Cannot label files: a regex of the SELinux policy takes too much memory",
    );
  }
  choices.push(choice);
}
