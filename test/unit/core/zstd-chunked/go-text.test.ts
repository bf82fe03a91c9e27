import { expect, test } from "vitest";
import { goJson, goTime } from "../../../../src/core/zstd-chunked/go-text.ts";

test("goJson: escapes what Go escapes, in lower-case hex", () => {
  expect(goJson('a<b>&"\\\n\u2028\u2029ä')).toBe('"a\\u003cb\\u003e\\u0026\\"\\\\\\n\\u2028\\u2029ä"');
});

test.each([
  [0n, 0, "1970-01-01T00:00:00Z"],
  [1_789_199_741n, 0, "2026-09-12T07:55:41Z"],
  [951_827_696n, 123_000_000, "2000-02-29T12:34:56.123Z"],
  [-1n, 999_999_999, "1969-12-31T23:59:59.999999999Z"],
  [-62_135_596_800n, 0, "0001-01-01T00:00:00Z"],
  [-62_167_219_200n, 0, "0000-01-01T00:00:00Z"],
  [253_402_300_799n, 0, "9999-12-31T23:59:59Z"],
  [-62_167_219_201n, 0, undefined],
  [253_402_300_800n, 0, undefined],
  [-(2n ** 63n), 0, undefined],
])("goTime: %d s and %d ns", (seconds, nanoseconds, text) => {
  expect(goTime({ seconds, nanoseconds })).toBe(text);
});

test("goTime: the same date as the platform's own for every fifth day of 400 years", () => {
  for (let day = -73_000; day < 73_200; day += 5) {
    const expected = new Date(day * 86_400_000).toISOString().replace(".000Z", "Z");
    const found = goTime({ seconds: BigInt(day) * 86_400n, nanoseconds: 0 });
    if (found !== expected) expect(found).toBe(expected);
  }
});
