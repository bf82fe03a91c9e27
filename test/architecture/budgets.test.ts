import { describe, expect, test } from "vitest";
import { lineCount, longFiles, longFunctions } from "./budgets.ts";
import { readTexts } from "./source-text.ts";

describe("the source", () => {
  test("budgets: no file is longer than its budget", () => {
    expect(longFiles(readTexts(["src", "test", "images"], [".ts", ".mjs", ".sh"]))).toEqual([]);
  });

  // The callbacks of `describe` are no functions in the sense of the budget, so tests are checked by file only.
  test("budgets: no function is longer than 60 lines", () => {
    expect(longFunctions(readTexts(["src", "test/fakes", "test/builders", "images"], [".ts"]))).toEqual([]);
  });
});

describe("the check itself", () => {
  const lines = (count: number): string => "f();\n".repeat(count);

  test("lineCount: a last line without newline counts", () => {
    expect([lineCount("a\nb\n"), lineCount("a\nb")]).toEqual([2, 2]);
  });

  test("longFiles: refuses 401 lines, and 61 lines in a command file", () => {
    expect(
      longFiles([
        { path: "src/repo/a.ts", text: lines(400) },
        { path: "src/repo/b.ts", text: lines(401) },
        { path: "src/cli/commands/c.ts", text: lines(61) },
      ]),
    ).toEqual(["src/repo/b.ts: 401 lines, 400 allowed", "src/cli/commands/c.ts: 61 lines, 60 allowed"]);
  });

  test.each([
    ["named", (body: string) => `function named() {\n${body}}`],
    ["named", (body: string) => `const named = () => {\n${body}};`],
    ["named", (body: string) => `class C {\n named() {\n${body}}\n}`],
    ["a function", (body: string) => `call(function () {\n${body}});`],
  ])("longFunctions: refuses 61 lines of %s", (name, write) => {
    const long = longFunctions([{ path: "src/a.ts", text: write(lines(59)) }]);
    expect(long).toHaveLength(1);
    expect(long[0]).toContain(`${name} has 61 lines`);
    expect(longFunctions([{ path: "src/a.ts", text: write(lines(58)) }])).toEqual([]);
  });
});
