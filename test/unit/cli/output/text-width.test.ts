import { expect, test } from "vitest";
import { textWidth } from "../../../../src/cli/output/text-width.ts";

test.each([
  ["", 0],
  ["plain text", 10],
  ["größe", 5],
  ["e\u0301", 1],
  ["日本語", 6],
  ["ｶﾅ", 2],
  ["한국", 4],
  ["，", 2],
  ["a😀", 3],
  ["\u200d", 0],
])("textWidth: %j takes %i columns", (text, width) => {
  expect(textWidth(text)).toBe(width);
});
