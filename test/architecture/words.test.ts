import { describe, expect, test } from "vitest";
import { projectPaths, readText } from "./source-text.ts";
import { badLines, badNames, boundRegistries } from "./words.ts";

/**
 * Vectors were made by other tools and keep their names and text; binary files have no lines; paths in a Containerfile are
 * those of the container.
 */
function isOwnText(path: string): boolean {
  return (
    !path.endsWith("Containerfile") &&
    !path.startsWith("test/vectors/") &&
    /(\.(ts|mjs|js|sh|md|json|jsonc|ya?ml|service|conf)|\/[^.]+)$/.test(path)
  );
}

/** This check's own test has to hold what it refuses. */
const ownTest = "test/architecture/words.test.ts";

describe("the project", () => {
  const paths = projectPaths();

  test("words: file names use the glossary's words", () => {
    const named = paths.filter((path) => /^(src|boot|test)\//.test(path) && !path.startsWith("test/vectors/"));
    expect(badNames(named)).toEqual([]);
  });

  test("words: no unfinished work and no path of one machine", () => {
    const texts = paths.filter((path) => isOwnText(path) && path !== ownTest).map(readText);
    expect(badLines(texts)).toEqual([]);
  });

  test("words: neither lock file nor npm's settings name a registry", () => {
    const files = paths.filter((path) => /(^|\/)(package(-lock)?\.json|\.npmrc)$/.test(path)).map(readText);
    expect(files.map((file) => file.path)).toContain("package-lock.json");
    expect(boundRegistries(files)).toEqual([]);
  });
});

describe("the check itself", () => {
  test("badNames: refuses empty names and words of other projects, not inode or bls-entry", () => {
    expect(
      badNames([
        "src/repo/utils.ts",
        "src/core/tree/tree-node.ts",
        "src/core/tree/inode.ts",
        "src/core/boot/bls-entry.ts",
      ]),
    ).toEqual(['src/repo/utils.ts: "utils" says nothing', 'src/core/tree/tree-node.ts: "node" is not in the glossary']);
  });

  test.each(["// TODO later", "// FIXME", 'open("/work/x/y")', 'open("/tmp/run1/a")', "see /home/me/notes"])(
    "badLines: refuses %s",
    (line) => {
      expect(badLines([{ path: "a.ts", text: `fine\n${line}\n` }])).toHaveLength(1);
    },
  );

  test("badLines: a work directory of overlayfs and a temporary directory made at run time are fine", () => {
    const text = "state/deploy/ID/etc/work/x\nmkdtemp(tmpdir())\n/tmp\n/home\n";
    expect(badLines([{ path: "a.md", text }])).toEqual([]);
  });

  test.each(['"resolved": "https://example.org/a.tgz"', "registry=https://example.org/", "@a:registry=https://b/"])(
    "boundRegistries: refuses %s",
    (line) => {
      expect(boundRegistries([{ path: "package-lock.json", text: line }])).toHaveLength(1);
    },
  );
});
