import { expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import type { Extension } from "../../../../src/core/tar/pax.ts";
import { readEntry } from "../../../../src/core/tar/tar-entry.ts";
import { readHeader } from "../../../../src/core/tar/tar-header.ts";
import { defaultTarLimits } from "../../../../src/core/tar/tar-limits.ts";
import { gnu, header, type TarFields, v7 } from "../../../builders/tar-blocks.ts";

const stat = { permissions: 0o644, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 };
const xattrs = new Map();

function read(fields: TarFields, extension: Extension = {}, limits = defaultTarLimits) {
  const found = readHeader(header(fields));
  if (found === undefined) throw new Error("the header is not empty");
  return readEntry(found, extension, limits);
}

test.each([
  [
    { type: "5", name: "etc/" },
    { kind: "directory", path: "etc", stat, xattrs },
  ],
  [
    { type: "5", name: "./" },
    { kind: "directory", path: "", stat, xattrs },
  ],
  [
    { type: "1", linkName: "./etc//a/" },
    { kind: "hard-link", path: "file", target: "etc/a" },
  ],
  [
    { type: "2", linkName: "../a/" },
    { kind: "symlink", path: "file", stat, xattrs, target: "../a/" },
  ],
  [{ type: "6" }, { kind: "fifo", path: "file", stat, xattrs }],
  [
    { type: "3", major: "0000005\0", minor: "0000001\0" },
    { kind: "character-device", path: "file", stat, xattrs, rdev: 0x501 },
  ],
  [
    { type: "4", major: "0007777\0", minor: "3777777\0" },
    { kind: "block-device", path: "file", stat, xattrs, rdev: 0xffff_ffff },
  ],
  [
    { type: "\0", name: "etc/", magic: v7 },
    { kind: "directory", path: "etc", stat, xattrs },
  ],
])("readEntry: %j is complete without content", (fields, entry) => {
  expect(read(fields)).toEqual({ kind: "complete", entry });
});

test.each([
  { type: "0", size: 3 },
  { type: "\0", size: 3 },
  { type: "7", size: 3 },
  { type: "0", size: 3, magic: v7 },
  { type: "0", size: 3, name: "file/" },
])("readEntry: %j is a file", (fields) => {
  expect(read(fields)).toEqual({ kind: "file", file: { path: "file", stat, xattrs, sizeBytes: 3 } });
});

test("readEntry: PAX records win over GNU's long names, and both over the header", () => {
  const fields = { type: "2", linkName: "header" };
  const gnuOnly = { longName: fromText("long"), longLink: fromText("long-link") };
  const both = { ...gnuOnly, path: fromText("pax"), linkPath: fromText("pax-link") };
  expect(read(fields, gnuOnly)).toMatchObject({ entry: { path: "long", target: "long-link" } });
  expect(read(fields, both)).toMatchObject({ entry: { path: "pax", target: "pax-link" } });
});

test("readEntry: extensions override owner, time, size and bring extended attributes", () => {
  const found = read(
    { size: 5 },
    {
      uid: 7,
      gid: 8,
      sizeBytes: 6,
      mtime: { seconds: 9n, nanoseconds: 10 },
      xattrs: new Map([[fromText("user.a"), fromText("v")]]),
    },
  );
  expect(found).toEqual({
    kind: "file",
    file: {
      path: "file",
      stat: { permissions: 0o644, uid: 7, gid: 8, mtimeSeconds: 9n, mtimeNanoseconds: 10 },
      xattrs: new Map([["user.a", "v"]]),
      sizeBytes: 6,
    },
  });
});

test.each([
  [{ type: "5", size: 512 }, "it is a directory with a size of 512"],
  [{ type: "1", size: 1, linkName: "a" }, "it is a hard link with a size of 1"],
  [{ type: "6", size: 1 }, "it is a FIFO with a size of 1"],
  [{ type: "0", name: "./" }, "the root can only be a directory"],
  [{ type: "2", linkName: "" }, "a target of 0 bytes"],
  [{ type: "1", linkName: "" }, "it has no name"],
  [{ type: "1", linkName: "../a" }, '".."'],
  [{ type: "3", magic: v7, major: "0000012\0", minor: "0000012\0" }, "cannot say the number of"],
  [{ type: "4", magic: v7 }, "cannot say the number of"],
  [{ type: "\0", name: "etc/", magic: v7, size: 1 }, "it is a directory with a size of 1"],
  [{ type: "\0", name: "etc/" }, "it is a file, and to other readers a directory"],
  [{ type: "\0", name: "etc/", magic: gnu, size: 1 }, "it is a file, and to other readers a directory"],
])("readEntry: refuses %j", (fields, message) => {
  expect(() => read(fields)).toThrow(
    expect.objectContaining({ code: "bad-format", message: expect.stringContaining(message) }),
  );
});

test("readEntry: a symlink's target has up to 4095 bytes and no NUL", () => {
  const target = fromText("t".repeat(4095));
  expect(read({ type: "2" }, { linkPath: target })).toMatchObject({ entry: { target } });
  expect(() => read({ type: "2" }, { linkPath: fromText("t".repeat(4096)) })).toThrow("a target of 4096 bytes");
  expect(() => read({ type: "2" }, { linkPath: fromText("a\0b") })).toThrow("1 to 4095 without NUL");
});

test.each(["D", "M", "N", "V", "Z", "x", "L", "X"])("readEntry: refuses type %s", (type) => {
  expect(() => read({ type })).toThrow(
    expect.objectContaining({
      code: "unsupported",
      message: `Cannot read tar entry "file": its type "${type}" is unknown`,
    }),
  );
});

test("readEntry: refuses GNU's sparse files", () => {
  expect(() => read({ type: "S" })).toThrow(
    expect.objectContaining({ code: "unsupported", message: expect.stringContaining("sparse") }),
  );
});

test("readEntry: limits the size of files", () => {
  const limits = { ...defaultTarLimits, fileBytes: 100 };
  expect(read({ size: 100 }, {}, limits).kind).toBe("file");
  expect(() => read({ size: 101 }, {}, limits)).toThrow(
    expect.objectContaining({ code: "limit-exceeded", facts: { bytes: 101 } }),
  );
});
