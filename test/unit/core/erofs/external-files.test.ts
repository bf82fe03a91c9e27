import { expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { externalFiles } from "../../../../src/core/erofs/external-files.ts";
import { writeErofs } from "../../../../src/core/erofs/writer.ts";
import { finishHardLinks } from "../../../../src/core/tree/hard-links.ts";
import type { Leaf } from "../../../../src/core/tree/inode.ts";
import { directory, file, objectFile, symlink } from "../../../builders/file-trees.ts";

const digest = "ab".repeat(32);

test("externalFiles: gives path, object and size of files that have an object, a shared one once", () => {
  const shared = objectFile(99n, digest);
  const labelled: Leaf = {
    ...objectFile(7n, "cd".repeat(32)),
    xattrs: new Map([[fromText("security.x"), fromText("y")]]),
  };
  const root = directory({
    a: directory({ deep: directory({ shared }), again: shared, inline: file("x".repeat(50)), empty: file("") }),
    labelled,
    link: symlink("a"),
  });
  const found = [...externalFiles(writeErofs(finishHardLinks(root), { version: 1 }))];
  expect(found.map(({ path, sizeBytes }) => `${path} ${sizeBytes}`).sort()).toEqual(["a/again 99", "labelled 7"]);
  expect(found.map(({ backingPath }) => backingPath).sort()).toEqual([
    `ab/${"ab".repeat(31)}`,
    `cd/${"cd".repeat(31)}`,
  ]);
});

test("externalFiles: passes over a file that has a digest and no path", () => {
  const pathless: Leaf = {
    ...objectFile(99n, digest),
    kind: "regular",
    content: { kind: "external", sizeBytes: 99n, backingPath: undefined, digest },
  };
  expect([...externalFiles(writeErofs({ root: directory({ pathless }) }, { version: 0 }))]).toEqual([]);
});

test("externalFiles: refuses what is no root image", () => {
  expect(() => [...externalFiles(new Uint8Array(8192))]).toThrow();
});
