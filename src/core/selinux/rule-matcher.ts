import type { ByteString } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import { Backtracker } from "./backtracker.ts";
import type { FileContext } from "./file-contexts.ts";
import { LazyAutomaton } from "./lazy-automaton.ts";
import { isRegular, type Regex } from "./regex.ts";
import { parseRegex } from "./regex-parser.ts";
import { ProgramBuilder } from "./regex-program.ts";
import { WorkBudget } from "./work-budget.ts";

/** Some 50 times what a distribution's policy takes for 40 000 files; half a minute of work at worst. */
const defaultMaxSteps = 500_000_000;

/** What may be spent on a policy; each has a default far above every real one. */
export interface MatcherLimits {
  /** Steps of all searches together. */
  readonly maxSteps?: number;
  /** Parts of all regexes together. */
  readonly maxInstructions?: number;
  /** States that the automaton keeps at once. */
  readonly maxStates?: number;
}

/** A rule that no automaton can match. */
interface OddRule {
  readonly rule: number;
  readonly program: { readonly start: number; readonly registers: number };
  /** PCRE2 looks for a match anywhere; that only matters for lines whose brackets break out of their group. */
  readonly anywhere: boolean;
}

/**
 * Finds the last of many rules that matches.
 *
 * What protects from hostile rules: regular ones, which are nearly all, cost one step a byte together; the others are
 * tried one way after the other; all steps count against one budget, and the size of all programs is limited.
 */
export class RuleMatcher {
  readonly #automaton: LazyAutomaton;
  readonly #backtracker: Backtracker;
  /** Last rule first. */
  readonly #oddRules: readonly OddRule[];

  /** @throws OsdeployError `bad-format` or `unsupported` for a bad regex; `limit-exceeded`. */
  constructor(rules: readonly FileContext[], options: MatcherLimits = {}) {
    const builder = new ProgramBuilder(options.maxInstructions);
    const starts: number[] = [];
    const oddRules: OddRule[] = [];
    rules.forEach((context, rule) => {
      const { regex, anywhere } = parseRule(context);
      const regular = stripAnchors(regex);
      if (regular !== undefined) starts.push(builder.add(regular, rule).start);
      else oddRules.push({ rule, program: builder.add(regex, rule), anywhere });
    });
    const budget = new WorkBudget(options.maxSteps ?? defaultMaxSteps);
    this.#automaton = new LazyAutomaton(builder.instructions, { starts, budget, maxStates: options.maxStates });
    this.#backtracker = new Backtracker(builder.instructions, budget);
    this.#oddRules = oddRules.reverse();
  }

  /**
   * The index of the last rule that matches `text`, a path and a type letter; undefined when none does.
   *
   * @throws OsdeployError `limit-exceeded` when this and earlier searches together took too long.
   */
  lastMatch(text: ByteString): number | undefined {
    const regular = this.#automaton.match(text);
    for (const odd of this.#oddRules) {
      if (odd.rule < regular) break;
      if (this.#matches(odd, text)) return odd.rule;
    }
    return regular < 0 ? undefined : regular;
  }

  #matches({ program, anywhere }: OddRule, text: ByteString): boolean {
    if (this.#backtracker.matches(program, text)) return true;
    for (let start = 1; anywhere && start <= text.length; start++) {
      if (this.#backtracker.matches(program, text, start)) return true;
    }
    return false;
  }
}

/** The line as composefs-rs compiles it: a group, so that its back references count from 2, and the type letter. */
function parseRule({ regex, type }: FileContext): { readonly regex: Regex; readonly anywhere: boolean } {
  const text = `^(${regex})${type ?? "."}$` as ByteString;
  try {
    return { regex: parseRegex(text, "rust"), anywhere: false };
  } catch (error) {
    if (!(error instanceof OsdeployError) || error.code !== "bad-format") throw error;
    const parsed = parseRegex(text, "pcre");
    return { regex: parsed, anywhere: !startsAtStart(parsed) };
  }
}

function startsAtStart(regex: Regex): boolean {
  const first = regex.kind === "sequence" ? regex.items[0] : undefined;
  return first?.kind === "assertion" && first.what === "start";
}

/** The regex without the anchors that a match of the whole text implies; undefined when an automaton cannot match it. */
function stripAnchors(regex: Regex): Regex | undefined {
  if (regex.kind !== "sequence" || !startsAtStart(regex)) return undefined;
  const last = regex.items.at(-1);
  if (last?.kind !== "assertion" || last.what !== "end") return undefined;
  const inner: Regex = { kind: "sequence", items: regex.items.slice(1, -1) };
  return isRegular(inner) ? inner : undefined;
}
