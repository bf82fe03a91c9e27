import { expect, test } from "vitest";
import { toJson, toJsonLine } from "../../../../src/cli/output/json.ts";

test("toJson: is what JSON.stringify writes, with a newline, for plain values", () => {
  const value = { a: [1, "two", null, true, { b: [] }], c: {}, d: 'é\n"', e: [[1], []] };
  expect(toJson(value)).toBe(`${JSON.stringify(value, undefined, 2)}\n`);
  expect(toJsonLine(value)).toBe(`${JSON.stringify(value)}\n`);
});

test("toJson: a bigint keeps all its digits", () => {
  expect(toJsonLine({ size: 18446744073709551615n })).toBe('{"size":18446744073709551615}\n');
});

test("toJson: undefined fields are left out, undefined items are null", () => {
  expect(toJsonLine({ a: undefined, b: [undefined] })).toBe('{"b":[null]}\n');
});

test("toJson: a Map becomes an object and a Set an array", () => {
  expect(toJsonLine({ m: new Map([["k", 1n]]), s: new Set(["x"]) })).toBe('{"m":{"k":1},"s":["x"]}\n');
});
