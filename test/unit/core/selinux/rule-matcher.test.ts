import { describe, expect, test } from "vitest";
import type { ByteString } from "../../../../src/core/bytes/byte-string.ts";
import { RuleMatcher } from "../../../../src/core/selinux/rule-matcher.ts";

const bytes = (text: string) => text as ByteString;
const rule = (regex: string, type?: string) => ({
  regex: bytes(regex),
  type: type === undefined ? undefined : bytes(type),
  label: bytes("l"),
});

/** Whether one rule without type matches a text, as a regular file. */
function matches(regex: string, text: string): boolean {
  return new RuleMatcher([rule(regex)]).lastMatch(bytes(`${text}-`)) === 0;
}

/** Rows of a regex, texts that it matches, and texts that it does not. */
function cases(rows: readonly (readonly [string, readonly string[], readonly string[]])[]): void {
  test.each(rows)("%s", (regex, yes, no) => {
    expect(yes.filter((text) => !matches(regex, text))).toEqual([]);
    expect(no.filter((text) => matches(regex, text))).toEqual([]);
  });
}

describe("RuleMatcher, what all engines agree on", () => {
  cases([
    ["/a", ["/a"], ["/ab", "b/a", "/", ""]],
    ["/usr(/.*)?", ["/usr", "/usr/", "/usr/a/b"], ["/usrx"]],
    ["/a|/b", ["/a", "/b"], ["/a/b"]],
    ["/a||/b", ["", "/a", "/b"], ["/"]],
    ["/a*", ["/", "/aaa"], ["/b"]],
    ["/a+b?c{2}", ["/abcc", "/aacc"], ["/cc", "/abc", "/abbcc"]],
    ["/a{2,3}", ["/aa", "/aaa"], ["/a", "/aaaa"]],
    ["/a{2,}", ["/aa", "/aaaaa"], ["/a"]],
    ["/a{0}b", ["/b"], ["/ab"]],
    ["/(a|b)*?c", ["/c", "/abac"], ["/abd"]],
    ["/(a*)*b", ["/b", "/aab"], ["/a"]],
    ["/[a-c]x", ["/ax", "/cx"], ["/dx", "/-x"]],
    ["/[^a-c]x", ["/dx", "/\xffx", "/\nx"], ["/ax"]],
    ["/[]a]", ["/]", "/a"], ["/b"]],
    ["/[^]a]", ["/b"], ["/]", "/a"]],
    ["/[a-]", ["/a", "/-"], ["/b"]],
    ["/[-a]", ["/a", "/-"], ["/b"]],
    ["/[\\w-]", ["/x", "/-"], ["/+"]],
    ["/[[:digit:][:upper:]]", ["/1", "/A"], ["/a", "/:"]],
    ["/[[:^digit:]]", ["/a"], ["/1"]],
    ["/[\\]\\\\\\-]", ["/]", "/\\", "/-"], ["/a"]],
    ["/[\\x41-\\x43]", ["/A", "/C"], ["/D"]],
    ["/\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\^\\$\\|\\\\\\/\\-", ["/.*+?()[]{}^$|\\/-"], []],
    ["/\\d\\D\\w\\W\\s\\S", ["/1a_- x"], ["/aaaaaa"]],
    ["/\\a\\f\\n\\r\\t", ["/\x07\f\n\r\t"], []],
    ["/\\x41\\x{2e}", ["/A."], ["/Ax"]],
    ["/(?:ab)+", ["/ab", "/abab"], ["/aba"]],
    ["/(?P<name>a)(?<other>b)", ["/ab"], ["/a"]],
    ["/(?i)aB[c]", ["/ABC", "/abc"], ["/abd"]],
    ["/(?i:a)b", ["/Ab", "/ab"], ["/aB"]],
    ["/((?i)a)b", ["/Ab"], ["/aB"]],
    ["/(?i)a(?-i)b", ["/Ab"], ["/AB"]],
    ["/(?i)[^a]", ["/b"], ["/a", "/A"]],
    ["/(?U)a+?b", ["/aab"], []],
    ["/a}b]", ["/a}b]"], []],
    ["/\\bword", ["/word"], []],
    ["/a\\bb", [], ["/ab", "/a b"]],
    ["/a\\Bb\\b", ["/ab"], []],
    ["/\\Aa", [], ["/a"]],
    ["\\A/a", ["/a"], []],
    ["/a\\z", [], ["/a"]],
    ["/a$", [], ["/a"]],
    ["^/a", ["/a"], []],
    ["/(?i)", ["/"], []],
    ["/()", ["/"], []],
  ]);
});

describe("RuleMatcher, Rust's rules where Rust can read the line", () => {
  cases([
    ["/a.c", ["/abc", "/a\nc"], ["/a\0c"]],
    ["/(?s)a.c", ["/a\0c", "/a\nc"], []],
    ["/q++q", ["/qq"], ["/q"]],
    ["/a{2}{2}", ["/aaaa"], ["/aa"]],
    ["/[a-c&&b]", ["/b"], ["/a", "/&"]],
    ["/[a-c--b]", ["/a", "/c"], ["/b", "/-"]],
    ["/[a-c~~b-d]", ["/a", "/d"], ["/b", "/~"]],
    ["/[a[b-c]]", ["/a", "/c"], ["/d", "/a]"]],
    ["/[--a]", ["/-", "/a"], ["/."]],
    ["/[^--/]", ["/."], ["/-", "//"]],
    ["/[-]a]", ["/-a]"], ["/]", "/-"]],
    ["/[a[--b]]", ["/a", "/-", "/b"], ["/]"]],
    ["/[\\w--b]", ["/a", "/_"], ["/b", "/-"]],
    ["/[[:alpha:]-.]", ["/a", "/-", "/."], ["/1"]],
    ["/[[:foo:]x]", ["/:", "/f", "/o", "/x"], ["/a", "/["]],
    ["/(?i)[a-c&&B]", ["/b", "/B"], ["/a", "/A"]],
    ["/[^a[b]&&[bc]]", ["/a", "/c"], ["/b"]],
    ["/\xc3\xa9?", ["/", "/\xc3\xa9"], ["/\xc3"]],
    ["/\xc3\xa9+z", ["/\xc3\xa9\xc3\xa9z"], ["/\xc3\xa9\xa9z"]],
    ["/\\v", ["/\v"], ["/\n"]],
    ["/a{1", [], ["/a"]],
  ]);
});

describe("RuleMatcher, PCRE2's rules where only PCRE2 can read the line", () => {
  cases([
    ["/(?!no)[a-z]+", ["/yes"], ["/nope"]],
    ["/(?=ab)a.*", ["/abc"], ["/ac"]],
    ["/.*(?<!x)y", ["/ay", "/y"], ["/xy"]],
    ["/.*(?<=ab)c", ["/abc"], ["/bc", "/c"]],
    ["/.*(?<=a|bb)c", ["/ac", "/bbc"], ["/bc"]],
    ["/.*(?<!a|bb)c", ["/bc"], ["/ac", "/bbc"]],
    ["/(?=a.c)a.c", ["/abc"], ["/a\nc"]],
    ["/(?!x)(a*)*b", ["/b", "/aab"], ["/a"]],
    ["/(?>m+)n", ["/mmn"], ["/mm"]],
    ["/(?>m+)m", [], ["/mm"]],
    ["/(?!x)q++q", [], ["/qq"]],
    ["/(?!x)(?:|q+r)++.a", ["/qa"], ["/qrqa"]],
    ["/(?>(?:|q)*)r", ["/r"], ["/qr"]],
    ["/(?!x)(?:|q)*?r", ["/r", "/qqr"], ["/q"]],
    ["/(?!x)(?:|q){3,}r", ["/r", "/qqr"], ["/q"]],
    ["/(?!x)q*+q?+r", ["/qqr", "/r"], []],
    ["/(.)\\2", ["/oo"], ["/ot"]],
    ["/(?i)(.)\\2", ["/oO"], ["/ot"]],
    ["/(a)?\\2b", ["/aab"], ["/b", "/ab"]],
    ["/(?:(a)|b)*\\2", ["/aba"], ["/bb"]],
    ["/(.)\\1", [], ["/oo"]],
    ["/\\Qa.b\\E+", ["/a.b", "/a.bb"], ["/axb", "/a.ba.b"]],
    ["/(?!x)\\Q\\E\\E", ["/"], ["/E"]],
    ["/p{x", ["/p{x"], []],
    ["/({x)", ["/{x"], []],
    ["/a)\\Q", ["/a).$", "/a).$more"], ["/a", "x/a).$"]],
    ["/.*(?<=(?:a|b)c)d", ["/acd", "/bcd"], ["/cd"]],
    ["/(?<=/\\b(?>x){2})d", [], ["/d"]],
    ["/xx(?<=/\\b(?>x){2})d", ["/xxd"], []],
    ["/(?!y)x{,a}", ["/x{,a}"], ["/xx"]],
    ["/[\xc3\xa9]x", ["/\xc3x", "/\xa9x"], ["/\xc3\xa9x"]],
    ["/(?!x)\xc3\xa9?", ["/\xc3"], ["/"]],
    ["/[a-c&&b](?!x)", ["/a", "/&"], ["/x"]],
    ["/(?!x)[[]", ["/["], []],
    ["/(?!x)[--/]", ["/-", "/.", "//"], ["/a"]],
    ["/(?!x)[[:alpha:]-]", ["/a", "/-"], ["/1"]],
    ["/(?!x)[\\b]", ["/\b"], []],
    ["/(?!x)\\e\\07\\0", ["/\x1b\x07\0"], []],
    ["/(?!x)a\\Z", [], ["/a"]],
    ["/(?=.*-\\Z)a", ["/a"], []],
    ["/(?!.*\\n\\Z)a\\n?", ["/a", "/a\n"], []],
    ["/(?!x)\\xff", ["/\xff"], []],
    ["/(?<!(?:ab){2}c)d", ["/d"], []],
  ]);

  test("brackets that break out of the group leave the anchors behind, as in the other program", () => {
    expect(matches("/a)|(/b", "/a/what")).toBe(true);
    expect(matches("/a)|((?!x)/b", "/x/b")).toBe(true);
    expect(matches("/a)|((?!x)/b", "/x/c")).toBe(false);
    expect(matches("(?!x)(?<=x)/b)|(/c", "/x/c")).toBe(true);
  });
});

test.each([
  ["/(", "bad-format"],
  ["/a)", "bad-format"],
  ["/[a", "bad-format"],
  ["/[a&&", "bad-format"],
  ["/[b-a]", "bad-format"],
  ["/[a-\\d]", "bad-format"],
  ["/(?!x)[[:nope:]]", "bad-format"],
  ["/[\\w-z]", "bad-format"],
  ["/(?!x)[[:alpha:]-z]", "bad-format"],
  ["/a{,2}", "unsupported"],
  ["*", "unsupported"],
  ["/(+a)", "bad-format"],
  ["/|?", "bad-format"],
  ["/a{3,2}", "bad-format"],
  ["/(?!x)a**", "bad-format"],
  ["/(?!x)a{3,2}", "bad-format"],
  ["/\\8", "bad-format"],
  ["/(?%a)", "bad-format"],
  ["/\\x4", "bad-format"],
  ["/\\x{", "bad-format"],
  ["/\\10", "unsupported"],
  ["/\\pL", "unsupported"],
  ["/\\<a", "unsupported"],
  ["/\\b{start}", "unsupported"],
  ["/\\x{e9}", "unsupported"],
  ["/(?x)a", "unsupported"],
  ["/(?m:a)", "unsupported"],
  ["/(?#c)", "bad-format"],
  ["/(*ACCEPT)", "unsupported"],
  ["/(?!x)\\h", "unsupported"],
  ["/(?!x)(?<=a*)b", "unsupported"],
  ["/(?!x)(?<=(?:a|bb)c)b", "unsupported"],
  ["/(?!x)(?<=a*c)b", "unsupported"],
  ["/a***********?*", "unsupported"],
  ["/(?!x)(?<=(a)\\2)b", "unsupported"],
  ["/a{1001}", "unsupported"],
  ["/a{1,1001}", "unsupported"],
  ["(".repeat(101), "unsupported"],
  ["[".repeat(60), "unsupported"],
])("RuleMatcher: refuses %s", (regex, code) => {
  expect(() => new RuleMatcher([rule(regex)])).toThrow(expect.objectContaining({ code }));
});

test("RuleMatcher: what is no ASCII has neither cases nor escapes in Rust's rules, so PCRE2's hold", () => {
  expect(matches("/(?i)\xc3\xa9?", "/\xc3")).toBe(true);
  expect(matches("/\\\xc3\xa9?", "/\xc3")).toBe(true);
});

test("RuleMatcher: the last rule that matches wins, regular or not", () => {
  const matcher = new RuleMatcher([rule("/.*"), rule("/(?!b).*"), rule("/a.*", "d"), rule("/(?=ab).*"), rule("/abc")]);
  const last = (text: string) => matcher.lastMatch(bytes(text));
  expect(last("/b-")).toBe(0);
  expect(last("/x-")).toBe(1);
  expect(last("/a-")).toBe(1);
  expect(last("/ad")).toBe(2);
  expect(last("/abxd")).toBe(3);
  expect(last("/abcd")).toBe(4);
  expect(last("x")).toBeUndefined();
  expect(new RuleMatcher([]).lastMatch(bytes("/-"))).toBeUndefined();
});

test("RuleMatcher: the type letter is part of the rule", () => {
  const matcher = new RuleMatcher([rule("/a", "d"), rule("/a", "l")]);
  expect(["/ad", "/al", "/a-"].map((text) => matcher.lastMatch(bytes(text)))).toEqual([0, 1, undefined]);
});

test("RuleMatcher: regexes that would take for ever end with an error instead", () => {
  const hostile = (regex: string, text: string) => {
    const matcher = new RuleMatcher([rule(regex)], { maxSteps: 300_000 });
    return matcher.lastMatch(bytes(text));
  };
  const limit = expect.objectContaining({ code: "limit-exceeded" });
  expect(hostile("/(a+)+b", `/${"a".repeat(1000)}-`)).toBeUndefined();
  expect(() => hostile("/(?!x)(a+)+b", `/${"a".repeat(1000)}-`)).toThrow(limit);
  expect(() => hostile("/(?!x)(.*)(.*)(.*)\\3\\4b", `/${"a".repeat(500)}-`)).toThrow(limit);
  expect(() => hostile("/(?!x)(?:(?=a)a|(?>b))*c", `/${"ab".repeat(100_000)}-`)).toThrow(limit);
});

test("RuleMatcher: the number of open choices is limited, too", () => {
  const matcher = new RuleMatcher([rule("/(?!x)(?:a|b)*c")]);
  expect(() => matcher.lastMatch(bytes(`/${"a".repeat(400_000)}-`))).toThrow("takes too much memory");
});

const tooLarge = expect.objectContaining({ code: "limit-exceeded", message: expect.stringContaining("too large") });

test("RuleMatcher: the size of all programs together is limited", () => {
  expect(() => new RuleMatcher([rule("/((a{1000}){1000}){1000}")])).toThrow(tooLarge);
  expect(() => new RuleMatcher([rule("/(?:(?:(?:){1000}){1000}){1000}")])).toThrow(tooLarge);
  expect(() => new RuleMatcher([rule("/abc"), rule("/abc")], { maxInstructions: 15 })).toThrow(tooLarge);
});

test("RuleMatcher: an automaton that grows too large starts afresh and stays right", () => {
  const matcher = new RuleMatcher([rule("/.*a.{14}"), rule("/[ab]*b")], { maxStates: 1000 });
  let seed = 1;
  for (let i = 0; i < 1500; i++) {
    let text = "/";
    while (text.length < 60) {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      text += seed & 65536 ? "a" : "b";
    }
    const expected = /^\/[ab]*b$/.test(text) ? 1 : /^\/.*a.{14}$/.test(text) ? 0 : undefined;
    expect(matcher.lastMatch(bytes(`${text}-`))).toBe(expected);
  }
});
