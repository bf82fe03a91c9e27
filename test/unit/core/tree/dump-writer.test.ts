import { expect, test } from "vitest";
import { type ByteString, toBytes } from "../../../../src/core/bytes/byte-string.ts";
import { parseDump } from "../../../../src/core/tree/dump-parser.ts";
import { dumpLines, writeDump } from "../../../../src/core/tree/dump-writer.ts";
import { backingPaths, listTree } from "../../../../src/core/tree/tree-listing.ts";

const dump = [
  "/ 0 40755 3 0 0 0 0.0 - - -",
  "/a\\x20b 9 100644 1 0 0 0 0.0 11/2 - - b\\x3d=1 a=\\x3d\\xff",
  "/d 0 40755 2 0 0 0 0.0 - - -",
  "/d/\\n\\r\\t\\\\ 1 100644 2 0 0 0 0.0 - \\x2d -",
  "/e 0 @100644 2 0 0 0 0.0 /d/\\n\\r\\t\\\\ - -",
  "/l 5 120777 1 0 0 0 0.0 a\\x20b\\xc3\\xa9 - -",
  "/n 9 100644 1 0 0 0 0.0 - - -",
  "/o 9 100644 1 0 0 0 0.0 11/2 - -",
  "/p 0 10644 1 0 0 0 0.0 - - -",
  "",
].join("\n");
const tree = parseDump(toBytes(dump as ByteString));

test("writeDump: escapes what composefs-info escapes, and sorts xattrs", () => {
  const expected = dump
    .replace("b\\x3d=1 a=\\x3d\\xff", "a=\\x3d\\xff b\\x3d=1")
    .replace("/e 0 @100644 2 0 0 0 0.0 /d/\\n\\r\\t\\\\ -", "/e 1 @100644 2 0 0 0 0.0 /d/\\n\\r\\t\\\\ \\x2d");
  expect(writeDump(tree)).toBe(expected);
});

test("dumpLines: link counts of directories as they are said, else as they are", () => {
  const lines = [...dumpLines(tree, { directoryLinks: new Map([[tree.root, 7]]) })];
  expect(lines[0]).toBe("/ 0 40755 7 0 0 0 0.0 - - -\n");
  expect(lines[2]).toBe("/d 0 40755 2 0 0 0 0.0 - - -\n");
});

test("dumpLines: xattrs as stored and directory sizes where that is asked for", () => {
  const lines = [...dumpLines(tree, { xattrOrder: "stored", directorySizes: new Map([[tree.root, 99n]]) })];
  expect(lines[0]).toBe("/ 99 40755 3 0 0 0 0.0 - - -\n");
  expect(lines[1]).toContain(" b\\x3d=1 a=\\x3d\\xff\n");
  expect(lines[2]).toBe("/d 0 40755 2 0 0 0 0.0 - - -\n");
});

test("listTree: what composefs-info ls prints: spaces stay in paths and not in targets, links have no kind", () => {
  expect([...listTree(tree)]).toEqual([
    "/a b\t@ 11/2\n",
    "/d/\t\n",
    "/d/\\n\\r\\t\\\\\n",
    "/e\n",
    "/l\t-> a\\x20b\\xc3\\xa9\n",
    "/n\n",
    "/o\t@ 11/2\n",
    "/p\n",
  ]);
});

test("backingPaths: each once, over all trees, in byte order", () => {
  const other = parseDump(toBytes("/ 0 40755 3 0 0 0 0.0 - - -\n/f 1 100644 1 0 0 0 0.0 00/1 - -\n" as ByteString));
  expect(backingPaths([tree, other])).toEqual(["00/1", "11/2"]);
});
