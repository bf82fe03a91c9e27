import { expect, test } from "vitest";
import {
  type ByteString,
  compareBytes,
  fromBytes,
  fromText,
  inQuotes,
  toBytes,
  toText,
  untilNul,
} from "../../../../src/core/bytes/byte-string.ts";

test("fromText: the bytes of UTF-8", () => {
  expect(fromText("plain")).toBe("plain");
  expect(fromText("é€")).toBe("\xc3\xa9\xe2\x82\xac");
});

test("toText: UTF-8 is shown, what is none becomes U+FFFD", () => {
  expect(toText(fromText("plain"))).toBe("plain");
  expect(toText(fromText("é"))).toBe("é");
  expect(toText("a\xff" as ByteString)).toBe("a\ufffd");
});

test.each([0, 1, 32, 33, 5000, 9000])("fromBytes: %i bytes of any value are kept", (length) => {
  const bytes = new Uint8Array(length).map((_, i) => (i * 7) & 255);
  expect(toBytes(fromBytes(bytes))).toEqual(bytes);
});

test.each([10, 40, 9000])("fromBytes: %i bytes of ASCII are kept, a byte order mark's bytes too", (length) => {
  const bytes = new Uint8Array(length).fill(97);
  expect(fromBytes(bytes)).toBe("a".repeat(length));
  bytes.set([0xef, 0xbb, 0xbf]);
  expect(fromBytes(bytes)).toBe(`\xef\xbb\xbf${"a".repeat(length - 3)}`);
});

test("fromBytes: only the range that is asked for", () => {
  expect(fromBytes(new Uint8Array([97, 98, 99, 100]), 1, 3)).toBe("bc");
});

test.each([
  ["", ""],
  ["name", "name"],
  ["name\0rest\0", "name"],
  ["\0name", ""],
])("untilNul: of %j", (string, expected) => {
  expect(untilNul(string as ByteString)).toBe(expected);
});

test("inQuotes: shows text in quotes, without what is behind its first 200 bytes", () => {
  expect(inQuotes(fromText('a "é"\n'))).toBe('"a \\"é\\"\\n"');
  expect(inQuotes("x".repeat(201) as ByteString)).toBe(`"${"x".repeat(200)}"`);
});

test("compareBytes: byte order, a prefix first", () => {
  const sorted = ["", "A", "a", "ab", "b", "\xff"] as ByteString[];
  expect([...sorted].reverse().sort(compareBytes)).toEqual(sorted);
  expect(compareBytes("a" as ByteString, "a" as ByteString)).toBe(0);
});
