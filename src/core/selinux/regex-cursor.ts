import { type ByteString, inQuotes } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { type ByteSet, ignoreCase, singleByte } from "./byte-set.ts";
import type { Dialect } from "./regex.ts";

/** The flags that `(?…)` sets, up to the end of the group they stand in. */
export interface RegexFlags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
  readonly swapGreed: boolean;
}

/** A place in the text of a regex, with the flags that hold there. */
export class RegexCursor {
  readonly text: ByteString;
  readonly dialect: Dialect;
  flags: RegexFlags = { ignoreCase: false, dotAll: false, swapGreed: false };
  at = 0;

  constructor(text: ByteString, dialect: Dialect) {
    this.text = text;
    this.dialect = dialect;
  }

  /** The next byte as a string of length 1; empty at the end. */
  get next(): string {
    return this.text.charAt(this.at);
  }

  /** Takes the next byte; empty at the end. */
  take(): string {
    return this.text.charAt(this.at++);
  }

  /** Takes `expected` if it comes next. */
  skip(expected: string): boolean {
    if (!this.text.startsWith(expected, this.at)) return false;
    this.at += expected.length;
    return true;
  }

  /** Takes all up to and with `mark`, or up to the end, and gives what stands before it. */
  takeThrough(mark: string): string {
    const found = this.text.indexOf(mark, this.at);
    const end = found < 0 ? this.text.length : found;
    const before = this.text.slice(this.at, end);
    this.at = end + (found < 0 ? 0 : mark.length);
    return before;
  }

  /** Takes what `pattern`, a sticky RegExp, matches here. */
  match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text) ?? undefined;
    if (found !== undefined) this.at = pattern.lastIndex;
    return found;
  }

  /** Takes the text that `pattern`, a sticky RegExp, matches here; empty when it does not. */
  textOf(pattern: RegExp): string {
    return this.match(pattern)?.[0] ?? "";
  }

  /** Exactly the byte `letter`, or both its cases under the flag. */
  setOf(letter: string): ByteSet {
    return this.folded(singleByte(letter));
  }

  /** `set`, with both cases of its letters under the flag. */
  folded(set: ByteSet): ByteSet {
    return this.flags.ignoreCase ? ignoreCase(set) : set;
  }

  /** The text is no regex of this dialect. */
  invalid(state: string): OsdeployError {
    return this.#error("bad-format", state);
  }

  /** The text uses what osdeploy does not know, or reads differently in different engines. */
  unsupported(state: string): OsdeployError {
    return this.#error("unsupported", state);
  }

  #error(code: "bad-format" | "unsupported", state: string): OsdeployError {
    return new OsdeployError(code, `Cannot read regex ${inQuotes(this.text)}: ${state}`);
  }
}
