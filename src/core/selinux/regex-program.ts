import { OsdeployError } from "../errors.ts";
import type { ByteSet } from "./byte-set.ts";
import { type Assertion, fixedLength, type LookRegex, type Regex, type RepeatRegex } from "./regex.ts";

/** What a program can do in one step. `next` and `other` are indices of instructions. */
export type Instruction =
  /** Takes one byte of the set and goes to the instruction behind it. */
  | { readonly op: "set"; readonly set: ByteSet }
  /** Goes on at both; at `next` first. */
  | { readonly op: "split"; next: number; other: number }
  | { readonly op: "jump"; next: number }
  /** Remembers the place in a register. */
  | { readonly op: "save"; readonly register: number }
  /** Goes on when the place differs from the register's, else at `other`: a round that took nothing is the last. */
  | { readonly op: "progress"; readonly register: number; other: number }
  | { readonly op: "assert"; readonly what: Assertion }
  /** Tries the program at `start`, `lengthBack` bytes before. */
  | {
      readonly op: "look";
      readonly start: number;
      readonly lengthBack: number;
      readonly negative: boolean;
      next: number;
    }
  /** Runs the program at `start` once; takes its first way of matching and no other. */
  | { readonly op: "atomic"; readonly start: number; next: number }
  | { readonly op: "backreference"; readonly register: number; readonly ignoreCase: boolean }
  /** Matched, by the rule. */
  | { readonly op: "match"; readonly rule: number };

/** Parts of all regexes of a policy, repeated ones counted each time; some 300 000 in the largest known. */
const defaultMaxInstructions = 4_000_000;

/** Turns regexes into instructions; many programs share one list. */
export class ProgramBuilder {
  readonly instructions: Instruction[] = [];
  readonly #maxInstructions: number;
  #registers = 0;
  #emitted = 0;

  constructor(maxInstructions: number = defaultMaxInstructions) {
    this.#maxInstructions = maxInstructions;
  }

  /**
   * Adds a program that ends in a match of `rule`.
   *
   * @returns where it starts, and how many registers it needs.
   * @throws OsdeployError `limit-exceeded` when all programs together become too large; `unsupported` for a look-behind
   * of more than one length.
   */
  add(regex: Regex, rule: number): { readonly start: number; readonly registers: number } {
    // Registers below are the groups': two for each, at twice its index.
    this.#registers = 2 * (countGroups(regex) + 1);
    const start = this.instructions.length;
    this.#emit(regex);
    this.#push({ op: "match", rule });
    return { start, registers: this.#registers };
  }

  #push<T extends Instruction>(instruction: T): T {
    this.instructions.push(instruction);
    return instruction;
  }

  get #next(): number {
    return this.instructions.length;
  }

  #emit(regex: Regex): void {
    // Counted here, not where instructions are made: a thousand times a thousand nothings take time as well.
    this.#emitted++;
    if (this.#emitted > this.#maxInstructions) {
      throw new OsdeployError("limit-exceeded", "Cannot use SELinux policy: its regexes are too large");
    }
    switch (regex.kind) {
      case "set":
        this.#push({ op: "set", set: regex.set });
        return;
      case "sequence":
        for (const item of regex.items) this.#emit(item);
        return;
      case "choice":
        this.#emitChoice(regex.items);
        return;
      case "repeat":
        this.#emitRepeat(regex);
        return;
      case "group":
        this.#push({ op: "save", register: 2 * regex.index });
        this.#emit(regex.item);
        this.#push({ op: "save", register: 2 * regex.index + 1 });
        return;
      case "assertion":
        this.#push({ op: "assert", what: regex.what });
        return;
      case "look":
        this.#emitLook(regex);
        return;
      case "atomic":
        this.#emitInner(regex.item, (start) => this.#push({ op: "atomic", start, next: 0 }));
        return;
      default:
        this.#push({ op: "backreference", register: 2 * regex.index, ignoreCase: regex.ignoreCase });
    }
  }

  #emitChoice(items: readonly Regex[]): void {
    const jumps: { next: number }[] = [];
    items.forEach((item, i) => {
      const isLast = i === items.length - 1;
      const split = isLast ? undefined : this.#push({ op: "split", next: this.#next + 1, other: 0 });
      this.#emit(item);
      if (split === undefined) return;
      jumps.push(this.#push({ op: "jump", next: 0 }));
      split.other = this.#next;
    });
    for (const jump of jumps) jump.next = this.#next;
  }

  #emitRepeat(regex: RepeatRegex): void {
    if (regex.max === Number.POSITIVE_INFINITY) {
      this.#emitLoop(regex);
      return;
    }
    for (let i = 0; i < regex.min; i++) this.#emit(regex.item);
    const splits: (() => void)[] = [];
    for (let i = regex.min; i < regex.max; i++) {
      splits.push(this.#pushOptional(regex.lazy));
      this.#emit(regex.item);
    }
    for (const leave of splits) leave();
  }

  /** The last round that has to be is part of the loop, as in PCRE2: it may be the one that took nothing. */
  #emitLoop(regex: RepeatRegex): void {
    for (let i = 1; i < regex.min; i++) this.#emit(regex.item);
    const skip = regex.min === 0 ? this.#pushOptional(regex.lazy) : undefined;
    const register = this.#registers++;
    const round = this.#next;
    this.#push({ op: "save", register });
    this.#emit(regex.item);
    const progress = this.#push({ op: "progress", register, other: 0 });
    const leave = this.#next + 1;
    this.#push({ op: "split", next: regex.lazy ? leave : round, other: regex.lazy ? round : leave });
    progress.other = leave;
    skip?.();
  }

  /** A split between what comes next and what comes after it; call the result where that is known. */
  #pushOptional(lazy: boolean): () => void {
    const inside = this.#next + 1;
    const split = this.#push({ op: "split", next: inside, other: inside });
    return () => {
      if (lazy) split.next = this.#next;
      else split.other = this.#next;
    };
  }

  /** PCRE2 looks back a fixed number of bytes, which may differ between the branches of the look-behind. */
  #emitLook({ item, behind, negative }: LookRegex): void {
    if (!behind) {
      this.#emitInner(item, (start) => this.#push({ op: "look", start, lengthBack: 0, negative, next: 0 }));
      return;
    }
    const branches = item.kind === "choice" ? item.items : [item];
    if (!negative && branches.length > 1) {
      this.#emitChoice(branches.map((branch) => ({ kind: "look", item: branch, behind, negative })));
      return;
    }
    // None of the branches may be there: one after the other.
    for (const branch of branches) {
      const lengthBack = fixedLength(branch);
      if (lengthBack === undefined) {
        throw new OsdeployError("unsupported", "Cannot use SELinux policy: a regex looks back by no fixed length");
      }
      this.#emitInner(branch, (start) => this.#push({ op: "look", start, lengthBack, negative, next: 0 }));
    }
  }

  /** A program in the program: first the instruction that runs it, then itself, then what comes after. */
  #emitInner(item: Regex, push: (start: number) => { next: number }): void {
    const instruction = push(this.#next + 1);
    this.#emit(item);
    this.#push({ op: "match", rule: -1 });
    instruction.next = this.#next;
  }
}

function countGroups(regex: Regex): number {
  switch (regex.kind) {
    case "sequence":
    case "choice":
      return Math.max(0, ...regex.items.map(countGroups));
    case "group":
      return Math.max(regex.index, countGroups(regex.item));
    case "repeat":
    case "look":
    case "atomic":
      return countGroups(regex.item);
    default:
      return 0;
  }
}
