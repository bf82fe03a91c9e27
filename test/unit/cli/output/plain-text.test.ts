import { expect, test } from "vitest";
import { printable, printableBytes } from "../../../../src/cli/output/plain-text.ts";
import { fromBytes, fromText } from "../../../../src/core/bytes/byte-string.ts";

test("printable: an escape sequence cannot reach the terminal", () => {
  expect(printable("a\x1b[2Jb\n\u009bc é")).toBe("a\\x1b[2Jb\\x0a\\x9bc é");
});

test("printable: a name cannot turn what stands beside it around, nor end the line", () => {
  expect(printable("a\u202etxt.exe\u2028b\u2069")).toBe("a\\u{202e}txt.exe\\u{2028}b\\u{2069}");
  expect(printable("می\u200cخواهم")).toBe("می\u200cخواهم");
});

test("printableBytes: UTF-8 is shown as text, other bytes as hex", () => {
  expect(printableBytes(fromText("é.txt"))).toBe("é.txt");
  expect(printableBytes(fromBytes(Uint8Array.of(0x61, 0xff, 0x0a)))).toBe("a\\xff\\x0a");
  expect(printableBytes(fromText("a\tb"))).toBe("a\\x09b");
});
