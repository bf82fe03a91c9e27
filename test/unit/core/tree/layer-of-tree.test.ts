import { expect, test } from "vitest";
import type { Leaf } from "../../../../src/core/tree/inode.ts";
import { layerOfTree } from "../../../../src/core/tree/layer-of-tree.ts";
import { mergeLayers } from "../../../../src/core/tree/merge-layers.ts";
import { directory, file, objectFile, special, symlink, tree } from "../../../builders/file-trees.ts";

test("layerOfTree: entries come depth-first in byte order, the root first, and keep all metadata", () => {
  const { entries, leftOut } = layerOfTree(
    tree({
      b: symlink("a"),
      a: directory({ z: file("z", { uid: 7 }), B: objectFile(65n, "ab".repeat(32)) }, { permissions: 0o700 }),
      "a.x": special("fifo"),
      d: special("block-device", 0x801),
      c: special("character-device", 0x103),
    }),
  );
  expect(entries.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
    "directory ",
    "directory a",
    "regular a/B",
    "regular a/z",
    "fifo a.x",
    "symlink b",
    "character-device c",
    "block-device d",
  ]);
  expect(entries[1]).toMatchObject({ stat: { permissions: 0o700 } });
  expect(entries[2]).toMatchObject({ content: { kind: "external", sizeBytes: 65n } });
  expect(entries[3]).toMatchObject({ stat: { uid: 7 }, content: { bytes: "z" } });
  expect(entries[5]).toMatchObject({ target: "a" });
  expect(entries.slice(6)).toMatchObject([{ rdev: 0x103 }, { rdev: 0x801 }]);
  expect(leftOut).toEqual([]);
});

test("layerOfTree: further names of a leaf become hard links to its first", () => {
  const shared: Leaf = { ...file("s"), nlink: 3 };
  const { entries } = layerOfTree(tree({ z: shared, b: directory({ y: shared }), c: shared }));
  expect(entries.slice(2)).toMatchObject([
    { kind: "regular", path: "b/y" },
    { kind: "hard-link", path: "c", target: "b/y" },
    { kind: "hard-link", path: "z", target: "b/y" },
  ]);
});

test("layerOfTree: sockets are left out under each of their names", () => {
  const socket: Leaf = { ...special("socket"), nlink: 2 };
  const { entries, leftOut } = layerOfTree(tree({ run: directory({ a: socket, b: socket }), c: special("socket") }));
  expect(entries.map(({ path }) => path)).toEqual(["", "run"]);
  expect(leftOut).toEqual(["c", "run/a", "run/b"]);
});

test.each([".wh.a", ".wh..wh..opq", ".wh."])(
  "layerOfTree: refuses the name %s, which a layer has for whiteouts",
  (name) => {
    const before = tree({ usr: directory({ a: file("a"), [name]: file("b") }) });
    expect(() => layerOfTree(before)).toThrow(`Cannot put "usr/${name}" into a layer: .wh. begins whiteouts there`);
    expect(() => layerOfTree(tree({ [name]: directory({}) }))).toThrow(
      expect.objectContaining({ code: "unsupported" }),
    );
    expect(layerOfTree(tree({ [`a${name}`]: file("a") })).entries).toHaveLength(2);
  },
);

test("layerOfTree: merging the layer gives the tree again", () => {
  const shared: Leaf = { ...file("s"), nlink: 2 };
  const before = tree({ a: directory({ one: shared, three: file("3", { mtimeSeconds: 5n }) }), two: shared });
  const after = mergeLayers([layerOfTree(before).entries]);
  expect([...layerOfTree(after).entries]).toEqual(layerOfTree(before).entries);
});
