import { describe, expect, test } from "vitest";
import { projectPaths, type Violation } from "./source-text.ts";

/**
 * Unit tests whose source file is missing. `test/unit/repo/objects.test.ts` mirrors `src/repo/objects.ts`; where one
 * file's tests are too many for one file, `objects.damage.test.ts` mirrors it too.
 */
function orphans(paths: readonly string[]): readonly Violation[] {
  const known = new Set(paths);
  return paths
    .filter((path) => path.startsWith("test/unit/"))
    .filter((path) => !known.has(sourceOf(path)))
    .map((path) => `${path}: there is no ${sourceOf(path)}`);
}

function sourceOf(test: string): string {
  const source = test.replace(/^test\/unit\//, "src/");
  return source.replace(/\.test\.ts$/, ".ts").replace(/\/([^/.]+)\.[^/]+\.ts$/, "/$1.ts");
}

describe("the tests", () => {
  test("mirror: every unit test mirrors a source file", () => {
    expect(orphans(projectPaths())).toEqual([]);
  });
});

describe("the check itself", () => {
  test("orphans: finds a test without a source and a helper among the tests", () => {
    expect(
      orphans([
        "src/repo/objects.ts",
        "test/unit/repo/objects.test.ts",
        "test/unit/repo/objects.damage.test.ts",
        "test/unit/repo/gone.test.ts",
        "test/unit/repo/build.ts",
      ]),
    ).toEqual([
      "test/unit/repo/gone.test.ts: there is no src/repo/gone.ts",
      "test/unit/repo/build.ts: there is no src/repo/build.ts",
    ]);
  });
});
