import fc from "fast-check";
import { expect, test } from "vitest";
import type { ByteString } from "../../src/core/bytes/byte-string.ts";
import { RuleMatcher } from "../../src/core/selinux/rule-matcher.ts";

const bytes = (text: string) => text as ByteString;

/** Regexes that mean the same to JavaScript, Rust and PCRE2. */
const regex: fc.Arbitrary<string> = fc.letrec<{ regex: string }>((tie) => ({
  regex: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom("a", "b", "/", "[ab]", "[^a]", "\\.", "[[:digit:]]", "\\w", "."),
    fc.array(tie("regex"), { maxLength: 3 }).map((items) => items.join("")),
    fc.array(tie("regex"), { minLength: 1, maxLength: 3 }).map((items) => `(${items.join("|")})`),
    fc
      .tuple(tie("regex"), fc.constantFrom("*", "+", "?", "{2}", "{0,2}", "{1,}", "*?"))
      .map(([item, count]) => `(?:${item})${count}`),
  ),
})).regex;

const text = fc.stringMatching(/^[ab/.1_]{0,8}$/);
const inJavaScript = (source: string) => new RegExp(`^(?:${source.replaceAll("[[:digit:]]", "[0-9]")})$`, "s");

test("law: plain regexes match what JavaScript's match, by automaton and by backtracking", () => {
  fc.assert(
    fc.property(regex, fc.array(text, { minLength: 1, maxLength: 8 }), (source, texts) => {
      const automaton = new RuleMatcher([{ regex: bytes(source), type: undefined, label: bytes("l") }]);
      // A look-ahead that always holds sends the same regex the other way.
      const backtracker = new RuleMatcher([{ regex: bytes(`(?=)${source}`), type: undefined, label: bytes("l") }]);
      for (const sample of texts) {
        const expected = inJavaScript(source).test(sample) ? 0 : undefined;
        expect([sample, automaton.lastMatch(bytes(`${sample}-`))]).toEqual([sample, expected]);
        expect([sample, backtracker.lastMatch(bytes(`${sample}-`))]).toEqual([sample, expected]);
      }
    }),
    { numRuns: 1000 },
  );
});

test("law: many rules together find the last that each finds alone", () => {
  fc.assert(
    fc.property(fc.array(regex, { maxLength: 8 }), text, (sources, sample) => {
      const rules = sources.map((source, i) => {
        const odd = i % 3 === 2 ? "(?=)" : "";
        return { regex: bytes(`${odd}${source}`), type: undefined, label: bytes("l") };
      });
      const last = sources.findLastIndex((source) => inJavaScript(source).test(sample));
      expect(new RuleMatcher(rules).lastMatch(bytes(`${sample}-`))).toBe(last < 0 ? undefined : last);
    }),
    { numRuns: 500 },
  );
});

test("law: any text is a regex or is refused, and no search hangs", () => {
  const noise = fc.array(fc.constantFrom(..."ab(){}[]|*+?\\^$.,1-:=!<>&QEdb0\xe9".split("")), { maxLength: 16 });
  fc.assert(
    fc.property(noise, (letters) => {
      try {
        const rules = [{ regex: bytes(letters.join("")), type: undefined, label: bytes("l") }];
        new RuleMatcher(rules, { maxSteps: 100_000 }).lastMatch(bytes("/ab/ba1-"));
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching("bad-format|unsupported|limit-exceeded") });
      }
    }),
    { numRuns: 5000 },
  );
});
