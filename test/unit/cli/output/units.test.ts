import { expect, test } from "vitest";
import {
  formatCount,
  formatPercent,
  formatSeconds,
  formatTime,
  shortDigest,
} from "../../../../src/cli/output/units.ts";

test.each([
  [0, "0.0 s"],
  [9.94, "9.9 s"],
  [9.96, "10 s"],
  [59.4, "59 s"],
  [59.6, "1 min 00 s"],
  [185, "3 min 05 s"],
  [7800, "2 h 10 min"],
])("formatSeconds: %s is %s", (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});

test.each([
  [0, 10, "0 %"],
  [999, 1000, "99 %"],
  [10, 10, "100 %"],
  [0, 0, "100 %"],
])("formatPercent: %s of %s is %s", (part, whole, text) => {
  expect(formatPercent(part, whole)).toBe(text);
});

test("formatCount: one is singular, all else plural", () => {
  expect([0, 1, 2].map((count) => formatCount(count, "layer"))).toEqual(["0 layers", "1 layer", "2 layers"]);
  expect(formatCount(2, "entry", "entries")).toBe("2 entries");
});

test("shortDigest: leaves the algorithm away", () => {
  expect(shortDigest(`sha256:${"ab".repeat(32)}`)).toBe("abababababab");
  expect(shortDigest("cd".repeat(64))).toBe("cdcdcdcdcdcd");
});

test("formatTime: is ISO 8601 in UTC", () => {
  expect(formatTime(1_700_000_000_250)).toBe("2023-11-14T22:13:20Z");
});
