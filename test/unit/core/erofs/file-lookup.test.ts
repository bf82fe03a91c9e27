import { expect, test } from "vitest";
import { type ByteString, fromText } from "../../../../src/core/bytes/byte-string.ts";
import { FileLookup } from "../../../../src/core/erofs/file-lookup.ts";
import { writeErofs } from "../../../../src/core/erofs/writer.ts";
import { OsdeployError } from "../../../../src/core/errors.ts";
import { finishHardLinks } from "../../../../src/core/tree/hard-links.ts";
import type { Leaf } from "../../../../src/core/tree/inode.ts";
import { directory, file, objectFile, symlink } from "../../../builders/file-trees.ts";

const digest = "ab".repeat(32);

const digestOf = (number: number) => number.toString(16).padStart(64, "0");

const backingPathOf = (hex: string) => `${hex.slice(0, 2)}/${hex.slice(2)}`;

const find = (image: Uint8Array, path: string) => new FileLookup(image).find(fromText(path));

test("FileLookup: finds object and size of a file by any of its names, also where others have the same content", () => {
  const shared = objectFile(99n, digest);
  const labelled: Leaf = {
    ...objectFile(7n, "cd".repeat(32)),
    xattrs: new Map([[fromText("security.x"), fromText("y")]]),
  };
  const root = directory({
    a: directory({ deep: directory({ shared, same: objectFile(99n, digest) }), again: shared }),
    labelled,
  });
  const image = writeErofs(finishHardLinks(root), { version: 1 });
  const found = { backingPath: backingPathOf(digest), sizeBytes: 99 };
  for (const path of ["a/again", "a/deep/shared", "a/deep/same"]) expect(find(image, path)).toEqual(found);
  expect(find(image, "labelled")).toEqual({ backingPath: backingPathOf("cd".repeat(32)), sizeBytes: 7 });
});

test("FileLookup: finds the inodes of directories, and of nothing else", () => {
  const root = directory({ a: directory({ deep: directory({}, { uid: 77_777 }) }), leaf: file("x") });
  const image = writeErofs({ root }, { version: 1 });
  const lookup = new FileLookup(image);
  const at = lookup.directoryOffset(fromText("a/deep"));
  expect(at === undefined ? undefined : new DataView(image.buffer).getUint32(at + 24, true)).toBe(77_777);
  for (const path of ["leaf", "a/none", "none/deep", "leaf/deep"]) {
    expect(lookup.directoryOffset(fromText(path))).toBeUndefined();
  }
});

test("FileLookup: finds nothing where there is no file, or one without bytes outside", () => {
  const root = directory({
    a: directory({ b: objectFile(7n, digest) }),
    inline: file("x".repeat(50)),
    empty: file(""),
    link: symlink("a"),
    none: directory({}),
  });
  const image = writeErofs({ root }, { version: 1 });
  const absent = ["", "a", "a/", "a/a", "a/bb", "a/c", "b/b", "inline", "empty", "link", "none", "none/b", "inline/b"];
  for (const path of [...absent, "link/b", "a/b/c", "zz", "!"]) expect(find(image, path)).toBeUndefined();
});

test("FileLookup: finds nothing for a file that has a digest and no path", () => {
  const pathless: Leaf = {
    ...objectFile(99n, digest),
    kind: "regular",
    content: { kind: "external", sizeBytes: 99n, backingPath: undefined, digest },
  };
  const again: Leaf = { ...pathless };
  expect(find(writeErofs({ root: directory({ pathless }) }, { version: 0 }), "pathless")).toBeUndefined();
  // Its digest is shared then, and the path is nowhere among what is shared.
  expect(find(writeErofs({ root: directory({ again, pathless }) }, { version: 0 }), "pathless")).toBeUndefined();
});

test("FileLookup: tells an xattr of the same length from the one it looks for", () => {
  const other = {
    ...objectFile(99n, digest),
    xattrs: new Map([[fromText("trusted.0123456789abcdef"), fromText("xy")]]),
  };
  const image = writeErofs({ root: directory({ other }) }, { version: 1 });
  expect(find(image, "other")).toEqual({ backingPath: backingPathOf(digest), sizeBytes: 99 });
});

test("FileLookup: refuses what is no root image", () => {
  expect(() => new FileLookup(new Uint8Array(8192))).toThrow(/not a composefs image/);
});

test("FileLookup: finds files in directories of several blocks, and sizes over 4 GiB", () => {
  const names = Array.from({ length: 700 }, (_, number) => `file-number-${number}`);
  const many = directory(
    Object.fromEntries(names.map((name, number) => [name, objectFile(5_000_000_000n, digestOf(number))])),
  );
  const lookup = new FileLookup(writeErofs({ root: directory({ many }) }, { version: 1 }));
  for (const [number, name] of names.entries()) {
    const found = { backingPath: backingPathOf(digestOf(number)), sizeBytes: 5_000_000_000 };
    expect(lookup.find(`many/${name}` as ByteString)).toEqual(found);
    expect(lookup.find(`many/${name}x` as ByteString)).toBeUndefined();
    expect(lookup.find(`many/${name.slice(0, -1)}` as ByteString)?.sizeBytes).toBe(
      names.includes(name.slice(0, -1)) ? 5_000_000_000 : undefined,
    );
  }
});

test("FileLookup: survives every change of one byte, with an error or a wrong answer", () => {
  const root = directory({ d: directory({ f: objectFile(99n, digest) }), g: objectFile(9n, digest) });
  const image = writeErofs({ root }, { version: 1 });
  let refused = 0;
  for (let at = 1024; at < image.length; at++) {
    const changed = image.slice();
    changed[at] = (changed[at] ?? 0) ^ 0xff;
    try {
      const lookup = new FileLookup(changed);
      for (const path of ["d/f", "g", "00"]) lookup.find(fromText(path));
    } catch (error) {
      expect(error).toBeInstanceOf(OsdeployError);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(10);
});

test("FileLookup: refuses a directory that says to be larger than the image, and ends its search", () => {
  const image = writeErofs({ root: directory({ f: objectFile(9n, digest) }) }, { version: 1 });
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  const root = view.getUint32(1024 + 40, true) * 4096 + view.getUint16(1024 + 14, true) * 32;
  expect(find(image, "f")).toBeDefined();
  // An inode of the long form, whose size has 64 bits.
  view.setUint16(root, view.getUint16(root, true) | 1, true);
  for (const blocks of [2 ** 20, 2 ** 31 + 2, 2 ** 32, 2 ** 40]) {
    view.setBigUint64(root + 8, BigInt(blocks) * 4096n, true);
    expect(() => find(image, "f")).toThrow(expect.objectContaining({ code: "bad-format" }));
  }
});
