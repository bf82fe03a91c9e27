import { expect, test } from "vitest";
import { lineFields } from "../../../../src/core/boot/line-fields.ts";

test.each<[string, readonly [string, string][]]>([
  ["title a  b", [["title", "a  b"]]],
  ["\t title \t a \t", [["title", "a"]]],
  [
    "title a\r\nversion 1\rsort-key x",
    [
      ["title", "a"],
      ["version", "1"],
      ["sort-key", "x"],
    ],
  ],
  ["# title a\n  #title a\n\nalone\nalone  \n", []],
  ["title # no comment", [["title", "# no comment"]]],
])("lineFields: %j", (text, fields) => {
  expect(lineFields(text)).toEqual(fields.map(([key, value]) => ({ key, value })));
});

test("lineFields: as much white space as somebody likes takes no time", () => {
  const much = " ".repeat(1 << 20);
  expect(lineFields(`a${much}b${much}c\n${much}d${much}`)).toEqual([{ key: "a", value: `b${much}c` }]);
});
