import { expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { forEachExternalFile } from "../../../../src/core/erofs/external-files.ts";
import { writeErofs } from "../../../../src/core/erofs/writer.ts";
import { OsdeployError } from "../../../../src/core/errors.ts";
import { finishHardLinks } from "../../../../src/core/tree/hard-links.ts";
import type { Leaf } from "../../../../src/core/tree/inode.ts";
import { directory, file, objectFile, symlink } from "../../../builders/file-trees.ts";

const digest = "ab".repeat(32);

const digestOf = (number: number) => number.toString(16).padStart(64, "0");

/** What is visited, a line each, sorted. */
function visited(image: Uint8Array): readonly string[] {
  const lines: string[] = [];
  forEachExternalFile(image, (path, backingPath, sizeBytes) => lines.push(`${path} ${backingPath} ${sizeBytes}`));
  return lines.sort();
}

test("forEachExternalFile: gives path, object and size of files that have an object, a shared one once", () => {
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
  expect(visited(writeErofs(finishHardLinks(root), { version: 1 }))).toEqual([
    `a/again ab/${"ab".repeat(31)} 99`,
    `labelled cd/${"cd".repeat(31)} 7`,
  ]);
});

test("forEachExternalFile: passes over a file that has a digest and no path", () => {
  const pathless: Leaf = {
    ...objectFile(99n, digest),
    kind: "regular",
    content: { kind: "external", sizeBytes: 99n, backingPath: undefined, digest },
  };
  expect(visited(writeErofs({ root: directory({ pathless }) }, { version: 0 }))).toEqual([]);
});

test("forEachExternalFile: refuses what is no root image", () => {
  expect(() => visited(new Uint8Array(8192))).toThrow(/not a composefs image/);
});

test("forEachExternalFile: finds files in directories of several blocks, and sizes over 4 GiB", () => {
  const names = Array.from({ length: 700 }, (_, number) => `file-number-${number}`);
  const many = directory(
    Object.fromEntries(names.map((name, number) => [name, objectFile(5_000_000_000n, digestOf(number))])),
  );
  const image = writeErofs({ root: directory({ many }) }, { version: 1 });
  expect(visited(image)).toEqual(
    names.map((name, number) => `many/${name} 00/${digestOf(number).slice(2)} 5000000000`).sort(),
  );
});

test("forEachExternalFile: survives every change of one byte, with an error or a wrong answer", () => {
  const image = writeErofs(
    { root: directory({ d: directory({ f: objectFile(99n, digest) }), g: objectFile(9n, digest) }) },
    { version: 1 },
  );
  let refused = 0;
  for (let at = 1024; at < image.length; at++) {
    const changed = image.slice();
    changed[at] = (changed[at] ?? 0) ^ 0xff;
    try {
      visited(changed);
    } catch (error) {
      expect(error).toBeInstanceOf(OsdeployError);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(10);
});

test("forEachExternalFile: passes over contents that several files have, whose xattr is stored apart", () => {
  const root = directory({ a: objectFile(99n, digest), b: objectFile(99n, digest), c: objectFile(99n, digestOf(1)) });
  expect(visited(writeErofs({ root }, { version: 1 }))).toEqual([`c 00/${digestOf(1).slice(2)} 99`]);
});
