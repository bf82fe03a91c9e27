import { expect, test } from "vitest";
import type { ByteString } from "../../../../src/core/bytes/byte-string.ts";
import type { LayerEntry } from "../../../../src/core/tree/layer.ts";
import { mergeLayers } from "../../../../src/core/tree/merge-layers.ts";
import {
  deviceEntry,
  directoryEntry,
  fifoEntry,
  fileEntry,
  hardLinkEntry,
  symlinkEntry,
} from "../../../builders/layer-entries.ts";
import { showNames, showTree } from "../../../builders/tree-text.ts";

const merge = (...layers: LayerEntry[][]) => showNames(mergeLayers(layers));

test("mergeLayers: every kind of entry comes into the tree as it is", () => {
  const tree = mergeLayers([
    [
      directoryEntry("", { permissions: 0o700, mtimeSeconds: 5n }),
      directoryEntry("etc", { permissions: 0o711, uid: 1, gid: 2, mtimeSeconds: 3n, mtimeNanoseconds: 4 }),
      fileEntry("etc/file", "text"),
      symlinkEntry("etc/link", "file"),
      fifoEntry("etc/pipe"),
      deviceEntry("etc/null", 0x103),
    ],
  ]);
  expect(showTree(tree)).toBe(
    [
      '"/" directory 700 0:0 5.000000000 links  ',
      '"/etc" directory 711 1:2 3.000000004 links  ',
      '"/etc/file" regular 644 0:0 0.000000000 nlink 1 "text"',
      '"/etc/link" symlink 644 0:0 0.000000000 nlink 1 -> "file"',
      '"/etc/null" character-device 644 0:0 0.000000000 nlink 1 rdev 259',
      '"/etc/pipe" fifo 644 0:0 0.000000000 nlink 1 rdev 0',
      "",
    ].join("\n"),
  );
});

test("mergeLayers: no layers make an empty root", () => {
  expect(merge()).toEqual(["/"]);
});

test("mergeLayers: missing parents are made, and a later entry for one replaces its metadata", () => {
  const tree = mergeLayers([[fileEntry("a/b/c", ""), directoryEntry("a", { permissions: 0o700 })]]);
  expect(showTree(tree)).toContain('"/a" directory 700 ');
  expect(showTree(tree)).toContain('"/a/b" directory 755 0:0 0.000000000');
});

test("mergeLayers: a directory over a directory replaces metadata and keeps the children", () => {
  const tree = mergeLayers([
    [directoryEntry("d", { permissions: 0o755 }, { "user.old": "1" }), fileEntry("d/child", "")],
    [directoryEntry("d", { permissions: 0o700 }, { "user.new": "2" })],
  ]);
  expect(showTree(tree)).toContain('"/d" directory 700 0:0 0.000000000 links   user.new="2"');
  expect(showNames(tree)).toEqual(["/", "/d", "/d/child"]);
});

test("mergeLayers: anything else replaces what was there, in both directions", () => {
  const layer = [directoryEntry("a", {}), fileEntry("a/child", ""), fileEntry("b", "")];
  expect(merge(layer, [fileEntry("a", ""), directoryEntry("b", {}), fileEntry("b/child", "")])).toEqual([
    "/",
    "/a",
    "/b",
    "/b/child",
  ]);
});

test("mergeLayers: a whiteout removes a name and all below it; a missing one is nothing to remove", () => {
  const layer = [fileEntry("d/a", ""), fileEntry("d/sub/x", ""), fileEntry("e", "")];
  expect(merge(layer, [fileEntry("d/.wh.sub", ""), fileEntry(".wh.e", ""), fileEntry(".wh.never", "")])).toEqual([
    "/",
    "/d",
    "/d/a",
  ]);
  expect(merge([fileEntry("gone/.wh.x", ""), fileEntry("gone/.wh..wh..opq", "")])).toEqual(["/"]);
});

test("mergeLayers: whiteouts of any kind count, odd names among them", () => {
  const layer = ["a", "b", "c", ".whale"].map((name) => fileEntry(name, ""));
  const whiteouts = [
    directoryEntry(".wh.a", {}),
    symlinkEntry(".wh.b", "x"),
    hardLinkEntry(".wh.c", "nowhere"),
    fileEntry(".wh.", ""),
    fileEntry(".wh..wh.plnk", ""),
    fileEntry(".whx", ""),
  ];
  expect(merge(layer, whiteouts)).toEqual(["/", "/.whale", "/.whx"]);
});

test("mergeLayers: whiteouts act in order, also on their own layer", () => {
  expect(merge([fileEntry("a", ""), fileEntry(".wh.a", ""), fileEntry(".wh.b", ""), fileEntry("b", "")])).toEqual([
    "/",
    "/b",
  ]);
});

test("mergeLayers: a directory that went between two of its files is made again, with nothing in it", () => {
  expect(merge([fileEntry("d/e/a", ""), fileEntry(".wh.d", ""), fileEntry("d/e/b", "")])).toEqual([
    "/",
    "/d",
    "/d/e",
    "/d/e/b",
  ]);
  const replaced = [fileEntry("d/e/a", ""), fileEntry("d", ""), fileEntry("d/e/b", "")];
  expect(() => merge(replaced)).toThrow('Cannot unpack "d/e/b": "d" on the way is a regular file, no directory');
  expect(merge([fileEntry("d/a", ""), fileEntry("e", ""), fileEntry("e", ""), fileEntry("d/b", "")])).toEqual([
    "/",
    "/d",
    "/d/a",
    "/d/b",
    "/e",
  ]);
});

test("mergeLayers: an opaque whiteout empties its directory of all before it, not the directory beside it", () => {
  const layer = [fileEntry("d/a", ""), fileEntry("beside/b", "")];
  expect(merge(layer, [fileEntry("d/early", ""), fileEntry("d/.wh..wh..opq", ""), fileEntry("d/late", "")])).toEqual([
    "/",
    "/beside",
    "/beside/b",
    "/d",
    "/d/late",
  ]);
});

test("mergeLayers: a hard link shares the inode of this moment, also of a lower layer", () => {
  const tree = mergeLayers([
    [fileEntry("z", "old"), hardLinkEntry("m", "z")],
    [hardLinkEntry("a", "z"), fileEntry("z", "new"), hardLinkEntry("b", "z")],
  ]);
  expect(showNames(tree, { content: true })).toEqual([
    "/",
    '/a "old" nlink 2',
    '/b "new" nlink 2',
    "/m -> /a",
    "/z -> /b",
  ]);
});

test("mergeLayers: removing a name lowers the count and moves the home", () => {
  const tree = mergeLayers([
    [
      fileEntry("a", "x"),
      hardLinkEntry("b", "a"),
      hardLinkEntry("c", "a"),
      hardLinkEntry("d", "a"),
      fileEntry(".wh.a", ""),
    ],
  ]);
  expect(showNames(tree, { content: true })).toEqual(["/", '/b "x" nlink 3', "/c -> /b", "/d -> /b"]);
  expect([...tree.root.links]).toEqual(["c", "d"]);
});

test("mergeLayers: the home of a shared leaf is its first name depth first, not the one that came first", () => {
  const tree = mergeLayers([[fileEntry("b", "x"), directoryEntry("a", {}), hardLinkEntry("a/z", "b")]]);
  expect(showNames(tree, { content: true })).toEqual(["/", "/a", '/a/z "x" nlink 2', "/b -> /a/z"]);
});

test("mergeLayers: a link to itself changes nothing; a link replaces a directory", () => {
  expect(showNames(mergeLayers([[fileEntry("a", "x"), hardLinkEntry("a", "a")]]), { content: true })).toEqual([
    "/",
    '/a "x" nlink 1',
  ]);
  expect(merge([fileEntry("d/x", ""), fileEntry("a", ""), hardLinkEntry("d", "a")])).toEqual(["/", "/a", "/d -> /a"]);
});

test("mergeLayers: names sort as bytes", () => {
  const names = ["b", "B", "a-b", "a", "a.b", "\xff", "\x01"];
  expect([...mergeLayers([names.map((name) => fileEntry(name, ""))]).root.entries.keys()]).toEqual([
    "\x01",
    "B",
    "a",
    "a-b",
    "a.b",
    "b",
    "\xff",
  ] as ByteString[]);
});

test.each<[string, LayerEntry[], string]>([
  ["a path through a symlink", [symlinkEntry("l", "/"), fileEntry("l/x", "")], '"l" on the way is a symlink'],
  ["a path through a file", [fileEntry("f", ""), directoryEntry("f/x", {})], '"f" on the way is a regular file'],
  ["a whiteout through a symlink", [symlinkEntry("l", "/"), fileEntry("l/.wh.x", "")], '"l" on the way is a symlink'],
  [
    "a hard link through a device",
    [deviceEntry("c", 1), hardLinkEntry("x", "c/y")],
    '"c" on the way is a character device',
  ],
  ["a hard link without target", [hardLinkEntry("x", "gone")], 'target "gone" is not there'],
  ["a hard link to nowhere", [hardLinkEntry("x", "no/where/y")], 'target "no/where/y" is not there'],
  ["a hard link to a directory", [directoryEntry("d", {}), hardLinkEntry("x", "d")], 'target "d" is a directory'],
  ["a hard link to the root", [hardLinkEntry("x", "")], 'target "" is a directory'],
])("mergeLayers: refuses %s", (_, layer, message) => {
  expect(() => mergeLayers([layer])).toThrow(
    expect.objectContaining({ code: "bad-format", message: expect.stringContaining(message) }),
  );
});

test("mergeLayers: limits the directories that layers make, implied or not", () => {
  const layer = [fileEntry("a/b/c", ""), directoryEntry("d", {}), directoryEntry("d", {})];
  expect(showNames(mergeLayers([layer], { maxDirectories: 3 }))).toHaveLength(5);
  expect(() => mergeLayers([layer], { maxDirectories: 2 })).toThrow(
    expect.objectContaining({ code: "limit-exceeded" }),
  );
});
