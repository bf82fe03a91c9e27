import { expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import {
  findDirectory,
  findInode,
  followPath,
  pathComponents,
  sortedEntries,
} from "../../../../src/core/tree/tree-path.ts";
import { directory, file, symlink, tree } from "../../../builders/file-trees.ts";

const image = tree({ etc: directory({ b: file("b"), a: file("a") }) });

test("pathComponents: slashes and dots count for nothing", () => {
  expect(pathComponents(fromText("//etc/./a/"))).toEqual(["etc", "a"]);
});

test("findInode: finds the root, files and directories, and nothing below a file", () => {
  expect(findInode(image, fromText("/"))).toBe(image.root);
  expect(findInode(image, fromText("/etc/a"))).toEqual(file("a"));
  expect(findInode(image, fromText("etc/a/b"))).toBeUndefined();
  expect(findInode(image, fromText("etc/c"))).toBeUndefined();
});

test("findDirectory: takes directories only", () => {
  expect(findDirectory(image, fromText("etc"))?.entries.size).toBe(2);
  expect(findDirectory(image, fromText("etc/a"))).toBeUndefined();
});

test("sortedEntries: gives names in byte order", () => {
  expect([...sortedEntries(directory({ é: file(""), b: file(""), B: file("") })).keys()]).toEqual([
    "B",
    "b",
    fromText("é"),
  ]);
  const inOrder = directory({ a: file(""), b: file("") });
  expect(sortedEntries(inOrder)).toBe(inOrder.entries);
});

test("followPath: follows absolute and relative symlinks inside the tree", () => {
  const linked = tree({
    etc: directory({
      "os-release": symlink("../usr/lib/os-release"),
      alternatives: directory({ x: symlink("/usr/bin/y") }),
    }),
    usr: directory({ lib: directory({ "os-release": file("ID=x") }), bin: directory({ y: file("y") }) }),
    bin: symlink("usr/bin"),
  });
  expect(followPath(linked, fromText("/etc/os-release"))).toEqual(file("ID=x"));
  expect(followPath(linked, fromText("etc/alternatives/x"))).toEqual(file("y"));
  expect(followPath(linked, fromText("bin/y"))).toEqual(file("y"));
  expect(followPath(linked, fromText("../../../usr/../bin/y"))).toEqual(file("y"));
  expect(followPath(linked, fromText("/"))).toBe(linked.root);
});

test("followPath: finds nothing through files, missing names and circles", () => {
  const broken = tree({ f: file("x"), a: symlink("b"), b: symlink("a"), gone: symlink("nowhere/x") });
  for (const path of ["f/x", "missing", "a", "gone"]) expect(followPath(broken, fromText(path))).toBeUndefined();
});
