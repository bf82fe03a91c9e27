import { expect, test } from "vitest";
import { formatFields, formatTable } from "../../../../src/cli/output/table.ts";

test("formatTable: numbers line up on the right, and no line ends in spaces", () => {
  const columns = [{ title: "NAME" }, { title: "SIZE", align: "right" as const }, { title: "NOTE" }];
  expect(
    formatTable(columns, [
      ["a", "9 B", ""],
      ["long name", "1.2 MB", "x"],
    ]),
  ).toBe(["NAME         SIZE  NOTE", "a             9 B", "long name  1.2 MB  x", ""].join("\n"));
});

test("formatTable: columns line up beside letters that take two columns or none", () => {
  const rows = [
    ["日本", "x"],
    ["e\u0301", "y"],
  ];
  expect(formatTable([{ title: "A" }, { title: "B" }], rows)).toBe("A     B\n日本  x\ne\u0301     y\n");
});

test("formatTable: without rows the titles stay", () => {
  expect(formatTable([{ title: "A" }, { title: "B" }], [])).toBe("A  B\n");
});

test("formatFields: values stand below each other, and absent ones have no line", () => {
  expect(
    formatFields([
      ["Image", "x"],
      ["Digest", undefined],
      ["Root image", "y"],
      ["Empty", ""],
    ]),
  ).toBe("Image:      x\nRoot image: y\nEmpty:\n");
});
