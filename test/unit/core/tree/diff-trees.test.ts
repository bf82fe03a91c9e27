import { expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { diffTrees } from "../../../../src/core/tree/diff-trees.ts";
import type { Inode } from "../../../../src/core/tree/inode.ts";
import { directory, file, objectFile, special, symlink, tree } from "../../../builders/file-trees.ts";

/** The differences as lines: `+ path`, `- path`, or `path: changes`. */
function lines(before: Readonly<Record<string, Inode>>, after: Readonly<Record<string, Inode>>): readonly string[] {
  return diffTrees(tree(before), tree(after)).map(({ path, before: old, after: now, changes }) =>
    old === undefined ? `+ ${path}` : now === undefined ? `- ${path}` : `${path}: ${changes.join(",")}`,
  );
}

test("diffTrees: a tree does not differ from itself", () => {
  const entries = {
    d: directory({ f: file("x") }),
    o: objectFile(99n, "a".repeat(64)),
    p: special("fifo"),
    l: symlink("x"),
  };
  expect(lines(entries, entries)).toEqual([]);
});

test("diffTrees: names what only one of them has, with all below it", () => {
  expect(lines({ a: file(""), d: directory({ x: file("") }) }, { b: file("") })).toEqual([
    "- /a",
    "+ /b",
    "- /d",
    "- /d/x",
  ]);
});

test("diffTrees: tells contents, targets, devices and kinds apart", () => {
  const before = {
    f: file("1"),
    l: symlink("x"),
    c: special("character-device", 1),
    b: special("block-device", 1),
    k: file(""),
  };
  const after = {
    f: file("2"),
    l: symlink("y"),
    c: special("character-device", 2),
    b: special("block-device", 1),
    k: symlink("x"),
  };
  expect(lines(before, after)).toEqual(["/c: device", "/f: content", "/k: kind,permissions", "/l: target"]);
});

test("diffTrees: compares objects by digest, and by path where there is none", () => {
  const external = (backingPath: string, digest?: string): Inode => ({
    ...objectFile(70n, "a".repeat(64)),
    kind: "regular",
    content: { kind: "external", sizeBytes: 70n, backingPath: fromText(backingPath), digest },
  });
  expect(lines({ f: external("x", "11") }, { f: external("y", "11") })).toEqual([]);
  expect(lines({ f: external("x") }, { f: external("y") })).toEqual(["/f: content"]);
});

test("diffTrees: names each part of the metadata that changed", () => {
  const changed = file(
    "1",
    { permissions: 0o600, gid: 1, mtimeNanoseconds: 5 },
    new Map([[fromText("user.a"), fromText("b")]]),
  );
  expect(lines({ f: file("1") }, { f: changed })).toEqual(["/f: permissions,owner,time,xattrs"]);
  expect(lines({ f: file("1") }, { f: file("1", { uid: 1, mtimeSeconds: 5n }) })).toEqual(["/f: owner,time"]);
});
