import { expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { parseFileContexts, parsePolicyType, parseSubs } from "../../../../src/core/selinux/file-contexts.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const subs = (text: string) => {
  const aliases = new Map();
  parseSubs(bytes(text), aliases);
  return Object.fromEntries(aliases);
};

test("parseFileContexts: regex, type and label; comments only at the start of a line", () => {
  const text = "# comment\n\n/a\t--\tu:r:t:s0\r\n   /b  <<none>>  \n/c -d x:y#z\n \t \n#/d x";
  expect(parseFileContexts(bytes(text))).toEqual([
    { regex: "/a", type: "-", label: "u:r:t:s0" },
    { regex: "/b", type: undefined, label: "<<none>>" },
    { regex: "/c", type: "d", label: "x:y#z" },
  ]);
});

test("parseFileContexts: what is not ASCII stays as its bytes; Unicode's spaces part fields", () => {
  expect(parseFileContexts(bytes("/é\u3000-l\u0085ü\ufeff"))).toEqual([
    { regex: "/\xc3\xa9", type: "l", label: "\xc3\xbc\xef\xbb\xbf" },
  ]);
});

test.each([
  ["/a", "in line 1, it has no label"],
  ["\n/a --", "in line 2, it has no label"],
  ["/a -x l", "type -x is unknown"],
  ["/a - l", "type - is unknown"],
  ["/a -- l more", "it has too many fields"],
  ["/a l more", "it has too many fields"],
])("parseFileContexts: refuses %j", (text, message) => {
  expect(() => parseFileContexts(bytes(text))).toThrow(
    expect.objectContaining({ code: "bad-format", message: expect.stringContaining(message) }),
  );
});

test("parseFileContexts: refuses what is not UTF-8, and overlong regexes", () => {
  expect(() => parseFileContexts(new Uint8Array([0x2f, 0xff]))).toThrow("it is not UTF-8");
  expect(parseFileContexts(bytes(`${"a".repeat(4096)} l`))).toHaveLength(1);
  expect(() => parseFileContexts(bytes(`${"a".repeat(4097)} l`))).toThrow(
    expect.objectContaining({ code: "limit-exceeded" }),
  );
});

test("parseFileContexts: limits the lines", () => {
  expect(parseFileContexts(bytes("/a l\n#\n".repeat(100_000)))).toHaveLength(100_000);
  expect(() => parseFileContexts(bytes("/a l\n".repeat(100_001)))).toThrow(
    expect.objectContaining({ code: "limit-exceeded" }),
  );
});

test("parseSubs: alias and path; later lines win", () => {
  expect(subs("# x\n/a /b\n\n /c\t/d \n/a /e")).toEqual({ "/a": "/e", "/c": "/d" });
});

test.each(["/a", "/a /b /c"])("parseSubs: refuses %j", (text) => {
  expect(() => subs(text)).toThrow("in line 1, it is not two paths");
});

test.each([
  ["SELINUXTYPE=targeted", "targeted"],
  ["SELINUX=disabled\n SeLinuxType \t= mls \r\nSELINUXTYPE=x", "mls"],
  ["# SELINUXTYPE=none\nSELINUXTYPE=", ""],
  ['SELINUXTYPE="a" # b=c', '"a" # b=c'],
  ["SELINUXTYPE\nSELINUX=enforcing", undefined],
  ["", undefined],
  ["\ufeffSELINUXTYPE=x\nSELINUXTYPE=y", "y"],
  ["\u017fEL\u0131NUXTYPE=x", undefined],
  ["\u2003SELINUXTYPE\u00a0=\u3000a b\u0085", "a b"],
  [`SELINUXTYPE=a${" ".repeat(1 << 20)}b`, `a${" ".repeat(1 << 20)}b`],
])("parsePolicyType: %.60j", (text, type) => {
  expect(parsePolicyType(bytes(text))).toBe(type);
});

test("parsePolicyType: a line that is no UTF-8 counts only before the one that is looked for", () => {
  const line = new Uint8Array([0x23, 0xe9, 0x0a]);
  const named = bytes("SELINUXTYPE=targeted\n");
  expect(parsePolicyType(new Uint8Array([...named, ...line]))).toBe("targeted");
  expect(() => parsePolicyType(new Uint8Array([...line, ...named]))).toThrow("it is not UTF-8");
});

test("parseFileContexts: a byte order mark is part of the regex, as for composefs-rs", () => {
  expect(parseFileContexts(bytes("\ufeff#a l"))).toMatchObject([{ regex: fromText("\ufeff#a") }]);
});
