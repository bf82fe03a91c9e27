import { expect, test } from "vitest";
import type { ByteString } from "../../../../src/core/bytes/byte-string.ts";
import { checkRange, checkSeconds, readDecimal, readNumber, readTime } from "../../../../src/core/tar/tar-number.ts";
import { latin1 } from "../../../builders/tar-blocks.ts";

const text = (value: string) => value as ByteString;
const number = (bytes: string) => readNumber(latin1(`#${bytes}7`), { offset: 1, length: bytes.length, what: "size" });

test.each([
  ["0000644\0", 0o644],
  ["   644 \0", 0o644],
  ["0000644 ", 0o644],
  ["777777777777", 0o777777777777],
  ["\0\0\0\0\0\0\0\0", 0],
  ["        ", 0],
  ["12\0garbage", 0o12],
  ["  \0 \0\0", 0],
])("readNumber: octal text %j", (bytes, expected) => {
  expect(number(bytes)).toBe(expected);
});

test.each([
  ["\x80\0\0\0\0\0\x01\0", 256],
  ["\xff\xff\xff\xff\xff\xff\xff\xff", -1],
  ["\x80\0\0\0\x20\0\0\0\0\0\0\0", 2n ** 61n],
  ["\x80\0\0\0\0\x1f\xff\xff\xff\xff\xff\xff", 2 ** 53 - 1],
  ["\x80\0\0\0\0\x20\0\0\0\0\0\x01", 2n ** 53n + 1n],
  ["\xc0\0\0\0\0\0\0\0\0\0\0\0", -(2n ** 94n)],
])("readNumber: base-256 %j", (bytes, expected) => {
  expect(number(bytes)).toBe(expected);
});

test.each(["0000648\0", "-1      ", "0x12\0\0\0\0", "1,2     ", "\x000000644", " \x00000644", "\0\0\0\0\0\0\0x"])(
  "readNumber: %j is no number",
  (bytes) => {
    expect(() => number(bytes)).toThrow(
      expect.objectContaining({ code: "bad-format", message: expect.stringContaining("its size") }),
    );
  },
);

test("checkRange: takes the ends of the range and nothing beyond them", () => {
  expect(checkRange(0, { min: 0, max: 9 }, "uid")).toBe(0);
  expect(checkRange(9n, { min: 0, max: 9 }, "uid")).toBe(9);
  expect(() => checkRange(10, { min: 0, max: 9 }, "uid")).toThrow("its uid 10 is out of range");
  expect(() => checkRange(-1, { min: 0, max: 9 }, "uid")).toThrow("its uid -1 is out of range");
});

test("readDecimal: digits only, exact however many", () => {
  expect(readDecimal(text("00042"), "size")).toBe(42);
  expect(readDecimal(text("9007199254740993"), "size")).toBe(9007199254740993n);
  for (const bad of ["", "+1", "-1", "1.0", "0x1", "1 ", "1".repeat(31)]) {
    expect(() => readDecimal(text(bad), "size")).toThrow("is not a number");
  }
});

test.each([
  ["1700000000", 1700000000n, 0],
  ["1700000000.", 1700000000n, 0],
  ["1700000000.01", 1700000000n, 10_000_000],
  ["1700000000.9999999999", 1700000000n, 999_999_999],
  ["+1.5", 1n, 500_000_000],
  ["-5.25", -6n, 750_000_000],
  ["-5", -5n, 0],
  ["-0.5", -1n, 500_000_000],
  ["-0.0000000001", 0n, 0],
  ["-0.000000001", -1n, 999_999_999],
  ["9223372036854775807.5", 2n ** 63n - 1n, 500_000_000],
  ["-9223372036854775808", -(2n ** 63n), 0],
])("readTime: %s", (value, seconds, nanoseconds) => {
  expect(readTime(text(value))).toEqual({ seconds, nanoseconds });
});

test.each(["", ".5", "1e3", "1.5.5", "1,5", "0x1", "--1", " 1"])("readTime: %j is no time", (value) => {
  expect(() => readTime(text(value))).toThrow("its mtime");
});

test("readTime: refuses what does not fit a signed 64-bit number", () => {
  expect(() => readTime(text("9223372036854775808"))).toThrow("does not fit 64 bits");
  expect(() => readTime(text("-9223372036854775808.5"))).toThrow("does not fit 64 bits");
  expect(checkSeconds(-(2n ** 63n))).toBe(-(2n ** 63n));
});
