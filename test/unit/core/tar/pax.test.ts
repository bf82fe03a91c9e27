import { expect, test } from "vitest";
import { type Extension, readPax } from "../../../../src/core/tar/pax.ts";
import { defaultTarLimits } from "../../../../src/core/tar/tar-limits.ts";
import { latin1, paxRecord } from "../../../builders/tar-blocks.ts";

function read(text: string, extension: Extension = {}): Extension {
  readPax(latin1(text), extension, defaultTarLimits);
  return extension;
}

test("readPax: takes what describes the entry and skips the rest", () => {
  const text = [
    paxRecord("path", "usr/\xff"),
    paxRecord("linkpath", "a b"),
    paxRecord("size", "700"),
    paxRecord("uid", "3000000000"),
    paxRecord("gid", "4294967295"),
    paxRecord("mtime", "1.5"),
    paxRecord("atime", "nonsense"),
    paxRecord("comment", "\0"),
    paxRecord("LIBARCHIVE.xattr.user.x", "eA=="),
  ];
  expect(read(text.join(""))).toEqual({
    path: "usr/\xff",
    linkPath: "a b",
    sizeBytes: 700,
    uid: 3000000000,
    gid: 4294967295,
    mtime: { seconds: 1n, nanoseconds: 500_000_000 },
  });
});

test("readPax: zeros say something, and a key can have one letter", () => {
  const zeros = ["size", "uid", "gid", "mtime", "k"].map((key) => paxRecord(key, "0")).join("");
  expect(read(zeros)).toEqual({ sizeBytes: 0, uid: 0, gid: 0, mtime: { seconds: 0n, nanoseconds: 0 } });
});

test("readPax: values are cut by length, so they may hold line ends, NUL and equals signs", () => {
  const value = "\x01\0\n=20 path=evil\n\xff";
  const found = read(paxRecord("SCHILY.xattr.security.capability", value) + paxRecord("path", "a"));
  expect(found).toEqual({ xattrs: new Map([["security.capability", value]]), path: "a" });
});

test("readPax: a key ends at its first equals sign", () => {
  expect(read("22 SCHILY.xattr.a=b=c\n").xattrs).toEqual(new Map([["a", "b=c"]]));
});

test("readPax: of a repeated key the last counts, an empty value takes it back", () => {
  const twice = read(paxRecord("path", "a") + paxRecord("path", "b") + paxRecord("uid", "5") + paxRecord("uid", "6"));
  expect(twice).toEqual({ path: "b", uid: 6 });
  const empty = ["path", "linkpath", "size", "uid", "gid", "mtime"].map((key) => paxRecord(key, "")).join("");
  expect(read(empty, { ...twice, linkPath: twice.path, sizeBytes: 1, gid: 1 })).toEqual({});
});

test("readPax: an empty extended attribute is a value", () => {
  const found = read(paxRecord("SCHILY.xattr.user.a", "x") + paxRecord("SCHILY.xattr.user.a", ""));
  expect(found.xattrs).toEqual(new Map([["user.a", ""]]));
});

test.each([
  ["no length", "path=a\n"],
  ["no space", "9path=ab\n"],
  ["length beyond the header", "99 path=a\n"],
  ["length of nothing", "0 path=a\n"],
  ["length that does not end at a line end", "8 path=ab\n"],
  ["endless length", "00000000011 path=a\n"],
  ["cut off", "10"],
  ["rest behind the last record", `${paxRecord("path", "a")}\0\0`],
])("readPax: refuses a record with %s", (_, text) => {
  expect(() => read(text)).toThrow(
    expect.objectContaining({ code: "bad-format", message: expect.stringMatching("no record at its byte") }),
  );
});

test.each(["9 =value\n", "7 =a=b\n", "7 path\n", "10 nokeyy\n9 path=a\n"])(
  "readPax: refuses %j, a record without key",
  (text) => {
    expect(() => read(text)).toThrow("has no key");
  },
);

test.each([
  ["uid", "4294967296", "its uid 4294967296 is out of range"],
  ["gid", "-1", 'its gid "-1" is not a number'],
  ["size", "9007199254740993", "its size 9007199254740993 is out of range"],
  ["mtime", "soon", 'its mtime "soon" is not a number'],
])("readPax: refuses %s=%s", (key, value, message) => {
  expect(() => read(paxRecord(key, value))).toThrow(message);
});

test.each(["GNU.sparse.map", "GNU.sparse.major", "GNU.sparse.size"])("readPax: refuses sparse files by %s", (key) => {
  expect(() => read(paxRecord(key, "1"))).toThrow(expect.objectContaining({ code: "unsupported" }));
});

test("readPax: refuses names that no extended attribute has", () => {
  for (const name of ["", "a\0b", "n".repeat(256)]) {
    expect(() => read(paxRecord(`SCHILY.xattr.${name}`, "x"))).toThrow("is no name of an extended attribute");
  }
  expect(read(paxRecord(`SCHILY.xattr.${"n".repeat(255)}`, "x")).xattrs?.size).toBe(1);
});

test("readPax: refuses values that Linux could not hold", () => {
  expect(read(paxRecord("SCHILY.xattr.a", "v".repeat(65536))).xattrs?.get("a" as never)).toHaveLength(65536);
  expect(() => read(paxRecord("SCHILY.xattr.a", "v".repeat(65537)))).toThrow(
    expect.objectContaining({ code: "limit-exceeded" }),
  );
});
