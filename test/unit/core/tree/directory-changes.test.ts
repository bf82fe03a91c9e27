import { expect, test } from "vitest";
import { directoryChanges } from "../../../../src/core/tree/directory-changes.ts";
import type { Directory, Inode, Stat } from "../../../../src/core/tree/inode.ts";
import { directory, file, plainStat } from "../../../builders/file-trees.ts";
import { b } from "../../../builders/layers.ts";

const leaf = file("x");
const inner = directory({ leaf });
const root = directory({ a: directory({ inner }), e: directory({}), leaf });

/** `root` with `child` as its `name`. */
const withChild = (name: string, child: Inode): Directory => ({
  ...root,
  entries: new Map(root.entries).set(b(name), child),
});
const changesOf = (after: Directory) => directoryChanges({ root }, { root: after });

test("directoryChanges: nothing where nothing changed, also where it was made anew", () => {
  expect(changesOf(root)).toEqual([]);
  expect(changesOf(withChild("a", directory({ inner })))).toEqual([]);
});

test.each<[string, Partial<Stat>]>([
  ["permissions", { permissions: 0o700 }],
  ["owner", { uid: 1 }],
  ["group", { gid: 1 }],
  ["seconds", { mtimeSeconds: 1n }],
  ["nanoseconds", { mtimeNanoseconds: 1 }],
])("directoryChanges: other %s, by path", (_, change) => {
  const stat = { ...plainStat, permissions: 0o755, ...change };
  const deep = directory({ inner: directory({ leaf }, change) });
  expect(changesOf(withChild("a", deep))).toEqual([{ path: "a/inner", stat }]);
  expect(changesOf(withChild("e", directory({}, change)))).toEqual([{ path: "e", stat }]);
  expect(changesOf({ ...root, stat })).toEqual([{ path: "", stat }]);
});

test.each<[string, Directory]>([
  ["a name fewer", directory({ a: directory({ inner }), leaf })],
  ["another name", directory({ a: directory({ inner }), f: directory({}), leaf })],
  ["another leaf", withChild("leaf", file("y"))],
  ["an equal leaf that is not the same", withChild("leaf", file("x"))],
  ["a leaf in place of a directory", withChild("e", leaf)],
  ["a directory in place of a leaf", withChild("leaf", directory({}))],
  ["something below", withChild("a", directory({ inner: directory({}) }))],
  ["an xattr more", withChild("e", directory({}, {}, new Map([[b("user.a"), b("1")]])))],
  ["a name that is a further link", { ...root, links: new Set([b("leaf")]) }],
])("directoryChanges: undefined where more differs: %s", (_, after) => {
  expect(changesOf(after)).toBeUndefined();
});

test("directoryChanges: xattrs and links are compared by what they say", () => {
  const marked = (value: string, link: string): Directory => ({
    ...directory({ d: directory({}, {}, new Map([[b("user.a"), b(value)]])), leaf, other: leaf }),
    links: new Set([b(link)]),
  });
  const before = marked("1", "other");
  expect(directoryChanges({ root: before }, { root: marked("1", "other") })).toEqual([]);
  expect(directoryChanges({ root: before }, { root: marked("2", "other") })).toBeUndefined();
  expect(directoryChanges({ root: before }, { root: marked("1", "leaf") })).toBeUndefined();
});
