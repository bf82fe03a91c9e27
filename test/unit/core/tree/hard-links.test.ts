import { expect, test } from "vitest";
import { finishHardLinks } from "../../../../src/core/tree/hard-links.ts";
import type { Directory, Leaf } from "../../../../src/core/tree/inode.ts";
import { directory, file } from "../../../builders/file-trees.ts";
import { showNames } from "../../../builders/tree-text.ts";

test("finishHardLinks: counts names and chooses homes, whatever the tree claimed before", () => {
  const shared: Leaf = { ...file("s"), nlink: 7 };
  const single: Leaf = { ...file("1"), nlink: 3 };
  const root = directory({ z: shared, b: directory({ y: shared, x: single }), a: shared });
  const { root: finished } = finishHardLinks({ ...root, links: new Set(root.entries.keys()) });
  expect(showNames({ root: finished }, { content: true })).toEqual([
    "/",
    '/a "s" nlink 3',
    "/b",
    '/b/x "1" nlink 1',
    "/b/y -> /a",
    "/z -> /a",
  ]);
  expect([...finished.links]).toEqual(["z"]);
  expect([...(finished.entries.get("b" as never) as Directory).links]).toEqual(["y"]);
});

test("finishHardLinks: leaves the given tree as it is, and keeps leaves that were right", () => {
  const leaf = file("x");
  const root = directory({ b: leaf, a: directory({}) });
  const { root: finished } = finishHardLinks(root);
  expect([...root.entries.keys()]).toEqual(["b", "a"]);
  expect([...finished.entries.keys()]).toEqual(["a", "b"]);
  expect(finished.entries.get("b" as never)).toBe(leaf);
});

test("finishHardLinks: what is right already is the same in the new tree", () => {
  const shared: Leaf = { ...file("s"), nlink: 2 };
  const right = directory({ a: file("1"), b: directory({ c: file("2") }) });
  const first = finishHardLinks(directory({ d: right, e: directory({ f: shared, g: shared }), z: file("3") })).root;
  const again = finishHardLinks(first).root;
  expect(first.entries.get("d" as never)).toBe(right);
  expect(again).toBe(first);
});

test("finishHardLinks: names that are no links any more are told apart from those that are", () => {
  const shared: Leaf = { ...file("s"), nlink: 2 };
  const holder = { ...directory({ f: shared, g: shared }), links: new Set(["f" as never]) };
  const { root } = finishHardLinks(directory({ e: holder }));
  expect([...(root.entries.get("e" as never) as Directory).links]).toEqual(["g"]);
});
