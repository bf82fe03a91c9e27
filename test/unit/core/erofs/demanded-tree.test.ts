import { expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { readErofsOnDemand } from "../../../../src/core/erofs/demanded-tree.ts";
import { readErofs } from "../../../../src/core/erofs/reader.ts";
import { writeErofs } from "../../../../src/core/erofs/writer.ts";
import { finishHardLinks } from "../../../../src/core/tree/hard-links.ts";
import type { Leaf } from "../../../../src/core/tree/inode.ts";
import { findDirectory, findInode } from "../../../../src/core/tree/tree-path.ts";
import { directory, file, special } from "../../../builders/file-trees.ts";
import { sketchImage } from "../../../builders/sketch-image.ts";

const mode = { directory: 0o040755, regular: 0o100644 };

function refusal(message: string) {
  return expect.objectContaining({ code: "bad-format", message: `Cannot read the root image: ${message}` });
}

/** `bad` holds an inode of no type, `linked` a file that says it has two names. */
const halfDamaged = sketchImage([
  {
    mode: mode.directory,
    names: [
      ["bad", 1],
      ["good", 3],
      ["linked", 5],
    ],
  },
  { mode: mode.directory, names: [["a", 2]] },
  { mode: 0o644 },
  { mode: mode.directory, names: [["file", 4]] },
  { mode: mode.regular, tail: "hello" },
  { mode: mode.directory, names: [["file", 6]] },
  { mode: mode.regular, nlink: 2, tail: "hello" },
]);

test("readErofsOnDemand: reads no directory but those that are asked for", () => {
  const tree = readErofsOnDemand(halfDamaged);
  expect([...tree.root.entries.keys()]).toEqual(["bad", "good", "linked"]);
  expect(findInode(tree, fromText("good/file"))).toMatchObject({ content: { kind: "inline", bytes: "hello" } });
  expect(findDirectory(tree, fromText("good"))?.links).toEqual(new Set());
  const bad = findDirectory(tree, fromText("bad"));
  expect(bad?.stat.permissions).toBe(0o755);
  expect(() => bad?.entries).toThrow(refusal("an inode has mode 644"));
});

test("readErofsOnDemand: reads all for the links of a directory that may have some", () => {
  const linked = findDirectory(readErofsOnDemand(halfDamaged), fromText("linked"));
  expect([...(linked?.entries.keys() ?? [])]).toEqual(["file"]);
  expect(() => linked?.links).toThrow(refusal("an inode has mode 644"));
});

test.each([0, 1] as const)("readErofsOnDemand: has the links that readErofs has (format %i)", (version) => {
  const shared: Leaf = { ...file("shared"), nlink: 2 };
  const sole = directory({ z: file("sole"), gone: special("character-device") });
  const { root } = finishHardLinks(directory({ b: directory({ c: shared, d: shared }), a: shared, sole }));
  const image = writeErofs({ root }, { version });
  const [tree, whole] = [readErofsOnDemand(image), readErofs(image)];
  for (const path of ["", "b", "sole"].map(fromText)) {
    expect(findDirectory(tree, path)?.links).toEqual(findDirectory(whole, path)?.links);
  }
  expect(findDirectory(whole, fromText("b"))?.links.size).toBeGreaterThan(0);
  expect(findInode(tree, fromText("b/c"))).toBe(findInode(tree, fromText("a")));
  expect(tree).toEqual(whole);
});

test("readErofsOnDemand: a copy of a directory has its names", () => {
  const image = writeErofs({ root: directory({ a: file("x") }) }, { version: 1 });
  const copy = { ...readErofsOnDemand(image).root };
  expect([...copy.entries.keys()]).toEqual(["a"]);
  expect(copy.entries).toBe(copy.entries);
});

test.each([
  ["a root that is no directory", sketchImage([{ mode: mode.regular }]), "its root is no directory"],
  [
    "a directory with two names",
    sketchImage([{ mode: mode.directory, names: [["a", 0]] }]),
    "a directory has two names",
  ],
  [
    "two entries of one name",
    sketchImage([
      {
        mode: mode.directory,
        names: [
          ["a", 1],
          ["a", 1],
        ],
      },
      { mode: mode.regular },
    ]),
    'a directory has two entries "a"',
  ],
])("readErofsOnDemand: bad-format for %s", (_, image, message) => {
  expect(() => readErofsOnDemand(image).root.entries).toThrow(refusal(message));
});
