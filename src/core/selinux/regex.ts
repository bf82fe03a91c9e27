import type { ByteSet } from "./byte-set.ts";

/** A regular expression over bytes, as a tree. */
export type Regex =
  | { readonly kind: "set"; readonly set: ByteSet }
  | { readonly kind: "sequence"; readonly items: readonly Regex[] }
  | { readonly kind: "choice"; readonly items: readonly Regex[] }
  | RepeatRegex
  | { readonly kind: "group"; readonly item: Regex; readonly index: number }
  | { readonly kind: "assertion"; readonly what: Assertion }
  | LookRegex
  | { readonly kind: "atomic"; readonly item: Regex }
  | { readonly kind: "backreference"; readonly index: number; readonly ignoreCase: boolean };

export interface RepeatRegex {
  readonly kind: "repeat";
  readonly item: Regex;
  readonly min: number;
  /** `Infinity` for no limit. */
  readonly max: number;
  readonly lazy: boolean;
}

export interface LookRegex {
  readonly kind: "look";
  readonly item: Regex;
  readonly behind: boolean;
  readonly negative: boolean;
}

/** What holds between two bytes. */
export type Assertion = "start" | "end" | "end-or-line-end" | "word" | "not-word";

/**
 * Whose rules a regex is read by.
 *
 * composefs-rs gives a line to Rust's regex engine if that can read it, else to PCRE2, and image ids depend on which.
 */
export type Dialect = "rust" | "pcre";

/** Whether finite automata can match it: no look-around, assertion, back reference or atomic group inside. */
export function isRegular(regex: Regex): boolean {
  switch (regex.kind) {
    case "set":
      return true;
    case "sequence":
    case "choice":
      return regex.items.every(isRegular);
    case "repeat":
    case "group":
      return isRegular(regex.item);
    default:
      return false;
  }
}

/** The one length in bytes of all that `regex` matches; undefined when there is none. PCRE2 looks back only so far. */
export function fixedLength(regex: Regex): number | undefined {
  switch (regex.kind) {
    case "set":
      return 1;
    case "sequence":
      return regex.items.reduce<number | undefined>((sum, item) => add(sum, fixedLength(item)), 0);
    case "choice": {
      const lengths = new Set(regex.items.map(fixedLength));
      return lengths.size === 1 ? [...lengths][0] : undefined;
    }
    case "repeat": {
      const length = fixedLength(regex.item);
      return regex.min === regex.max && length !== undefined ? length * regex.min : undefined;
    }
    case "group":
    case "atomic":
      return fixedLength(regex.item);
    case "backreference":
      return undefined;
    default:
      return 0;
  }
}

function add(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b;
}
