import { expect, test } from "vitest";
import type { ByteString } from "../../../../src/core/bytes/byte-string.ts";
import { fixedLength, isRegular } from "../../../../src/core/selinux/regex.ts";
import { parseRegex } from "../../../../src/core/selinux/regex-parser.ts";

const pcre = (text: string) => parseRegex(text as ByteString, "pcre");
const rust = (text: string) => parseRegex(text as ByteString, "rust");

test.each(["a\\", "[a\\", "\\x", "("])("parseRegex: refuses %s, which ends too early", (text) => {
  expect(() => rust(text)).toThrow(expect.objectContaining({ code: "bad-format" }));
  expect(() => pcre(text)).toThrow(expect.objectContaining({ code: "bad-format" }));
});

test("parseRegex: names the regex and the reason", () => {
  expect(() => rust("a(b")).toThrow('Cannot read regex "a(b": a group is not closed');
});

test.each([
  ["abc", 3],
  ["", 0],
  ["a{3}b", 4],
  ["(?:ab|cd)e", 3],
  ["(?:ab|c)e", undefined],
  ["a*b", undefined],
  ["(?:a*){2}", undefined],
  ["(a)(?>bc)", 3],
  ["(a)\\1", undefined],
  ["^a\\b(?=bcd)$", 1],
])("fixedLength: of %s it is %s", (text, length) => {
  expect(fixedLength(pcre(text))).toBe(length);
});

test.each([
  ["(?:ab|[c-d]*)?(e)", true],
  ["a\\b", false],
  ["(?:a|(?=b))", false],
  ["(?:(?>b))+", false],
  ["(a)\\1", false],
])("isRegular: %s, %s", (text, regular) => {
  expect(isRegular(pcre(text))).toBe(regular);
});
