import { expect, test } from "vitest";
import { knownFilesOf } from "../../../src/repo/known-files.ts";
import { directory, file, objectFile, symlink } from "../../builders/file-trees.ts";
import { content, idOf } from "../../builders/repos.ts";

test("knownFilesOf: every file that is an object of the algorithm, by its path", () => {
  const [one, two] = [idOf(content(1)), idOf(content(2))];
  const root = directory({
    usr: directory({ lib: directory({ big: objectFile(5000n, one) }), small: file("x"), link: symlink("small") }),
    top: objectFile(70n, two),
    old: objectFile(70n, "ab".repeat(32)),
  });
  expect([...knownFilesOf({ root }, "sha512")].sort()).toEqual([
    ["top", { id: two, sizeBytes: 70 }],
    ["usr/lib/big", { id: one, sizeBytes: 5000 }],
  ]);
});
