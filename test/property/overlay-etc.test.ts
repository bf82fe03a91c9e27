import fc from "fast-check";
import { expect, test } from "vitest";
import type { Inode } from "../../src/core/tree/inode.ts";
import { mergeEtc } from "../../src/core/tree/merge-etc.ts";
import { applyUpper, upperSteps } from "../../src/core/tree/overlay-upper.ts";
import { describeTree, treeOfSteps } from "../builders/etc-steps.ts";
import { directory, file, symlink, tree } from "../builders/file-trees.ts";

/** Few names and contents, so that trees meet often. */
const entries = fc.letrec<{ entries: Readonly<Record<string, Inode>>; inode: Inode }>((tie) => ({
  inode: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    fc.constantFrom(file("1"), file("2"), symlink("x")),
    tie("entries").map((below) => directory(below)),
  ),
  entries: fc.dictionary(fc.constantFrom("a", "b", "c"), tie("inode"), { maxKeys: 3, noNullPrototype: true }),
})).entries;

test("what one sees through upperSteps' directory over the image is the merge", () => {
  fc.assert(
    fc.property(entries, entries, entries, (pristine, host, imageEntries) => {
      const image = tree(imageEntries);
      const { steps } = mergeEtc({ pristine: tree(pristine), host: tree(host), image });
      const seen = applyUpper(image, treeOfSteps(upperSteps(image, steps)));
      expect(describeTree(seen)).toEqual(describeTree(treeOfSteps(steps)));
    }),
    { numRuns: 2000 },
  );
});
