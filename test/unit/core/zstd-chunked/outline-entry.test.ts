import { describe, expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { readHeader } from "../../../../src/core/tar/tar-header.ts";
import {
  type OutlineEntry,
  type OutlineExtensions,
  outlineEntry,
  readRecords,
} from "../../../../src/core/zstd-chunked/outline-entry.ts";
import { gnu, header, latin1, paxRecord, type TarFields, v7 } from "../../../builders/tar-blocks.ts";

function entryOf(
  fields: TarFields,
  { records = "", ...more }: { readonly records?: string } & Partial<Omit<OutlineExtensions, "records">> = {},
  change: (block: Uint8Array) => unknown = () => {},
): OutlineEntry {
  const block = header(fields);
  const found = readHeader(block);
  if (found === undefined) throw new Error("it is no header");
  change(block);
  return outlineEntry(block, found, {
    records: readRecords(latin1(records)),
    longName: undefined,
    longLink: undefined,
    ...more,
  });
}

const refusal = (message: string | RegExp) =>
  expect.objectContaining({ code: "unsupported", message: expect.stringMatching(message) });

describe("outlineEntry", () => {
  test("takes everything as it stands", () => {
    const fields = {
      name: "./dir//",
      type: "5",
      mode: "0040755\0",
      uid: "0000012\0",
      gid: "0000024\0",
      mtime: "00000001750\0",
    };
    expect(entryOf(fields)).toEqual({
      ...{ type: "dir", name: "./dir//", linkName: "", mode: 0o40755, sizeBytes: 0, uid: 10, gid: 20 },
      modTime: { seconds: 1000n, nanoseconds: 0 },
      ...{ accessTime: undefined, changeTime: undefined, devMajor: 0, devMinor: 0, xattrs: new Map() },
    });
  });

  test.each([
    ["\0", "reg"],
    ["0", "reg"],
    ["1", "hardlink"],
    ["2", "symlink"],
    ["3", "char"],
    ["4", "block"],
    ["5", "dir"],
    ["6", "fifo"],
  ])("type %j is %s", (type, expected) => {
    expect(entryOf({ type }).type).toBe(expected);
  });

  test.each([
    { type: "\0", name: "d/" },
    { type: "0", name: "d/", magic: v7 },
  ])("what readers take for a file or a directory is refused: %j", (fields) => {
    expect(() => entryOf(fields)).toThrow(refusal('"d/" is a file or a directory'));
    expect(entryOf({ ...fields, name: "d" })).toMatchObject({ type: "reg" });
  });

  test("an old regular file whose name ends in a slash is a directory", () => {
    expect(entryOf({ type: "\0", name: "d/", magic: v7, major: "0000007\0" })).toMatchObject({
      type: "dir",
      devMajor: 0,
    });
    expect(entryOf({ type: "0", name: "d/" }).type).toBe("reg");
  });

  test("device numbers of every type are told", () => {
    expect(entryOf({ type: "3", major: "0000005\0", minor: "0000001\0" })).toMatchObject({ devMajor: 5, devMinor: 1 });
  });

  test("PAX records win over the header, empty ones say nothing", () => {
    const records = [
      ["path", "long/name"],
      ["linkpath", "long/link"],
      ["size", "7"],
      ["uid", "3000000"],
      ["gid", ""],
      ["mtime", "1.5"],
      ["atime", "2"],
      ["ctime", "-1.25"],
      ["SCHILY.xattr.user.a", "\0\xff"],
      ["SCHILY.xattr.user.empty", ""],
      ["comment", "x"],
    ].map(([key = "", value = ""]) => paxRecord(key, value));
    expect(entryOf({ gid: "0000007\0", size: 3 }, { records: records.join("") })).toMatchObject({
      ...{ name: "long/name", linkName: "long/link", sizeBytes: 7, uid: 3_000_000, gid: 7 },
      modTime: { seconds: 1n, nanoseconds: 500_000_000 },
      accessTime: { seconds: 2n, nanoseconds: 0 },
      changeTime: { seconds: -2n, nanoseconds: 750_000_000 },
      xattrs: new Map([
        ["user.a", "\0\xff"],
        ["user.empty", ""],
      ]),
    });
  });

  test("GNU's long names count where no record says otherwise", () => {
    const longName = fromText("n".repeat(150));
    const longLink = fromText("l".repeat(150));
    const found = entryOf({ magic: gnu, type: "2" }, { longName, longLink, records: paxRecord("path", longName) });
    expect(found).toMatchObject({ name: longName, linkName: longLink });
  });

  test("what readers take for two things is refused", () => {
    expect(() => entryOf({}, { longName: fromText("a"), records: paxRecord("path", "b") })).toThrow(
      refusal("two names"),
    );
    expect(() => entryOf({ type: "7" })).toThrow(refusal('"file" is of the type "7"'));
    expect(() => entryOf({ type: "g" })).toThrow(refusal('the type "g"'));
    expect(() => entryOf({ name: "" })).toThrow(refusal("no name"));
    expect(() => entryOf({ type: "2", size: 1 })).toThrow(refusal("is no file and has a size"));
    expect(() => entryOf({ magic: gnu }, {}, (block) => block.fill(0x30, 345, 346))).toThrow(
      refusal("incremental dump"),
    );
    expect(() => entryOf({ magic: gnu }, {}, (block) => block.fill(0x30, 357, 358))).toThrow(
      refusal("incremental dump"),
    );
    expect(() => entryOf({}, {}, (block) => block.set(latin1("tar\0"), 508))).toThrow(refusal("headers of star"));
  });
});

describe("readRecords", () => {
  test("of a repeated key the last counts", () => {
    expect(readRecords(latin1(paxRecord("a", "1") + paxRecord("a", "2")))).toEqual(new Map([["a", "2"]]));
  });

  test.each([
    ["nonsense"],
    ["12345678901 a=b\n"],
    ["0 a=b\n"],
    ["99 a=b\n"],
    ["6 a=b "],
    ["5 =b\n"],
    ["5 ab\n"],
    ["05 a=\n"],
  ])("what is no record is refused: %j", (text) => {
    const message = expect.stringMatching(/Cannot read PAX header: .* at its byte 0/);
    expect(() => readRecords(latin1(text))).toThrow(expect.objectContaining({ code: "bad-format", message }));
  });

  test("NUL stands in values of attributes only, and sparse files are refused", () => {
    expect(() => readRecords(latin1(paxRecord("a\0", "b")))).toThrow(refusal("NUL"));
    expect(() => readRecords(latin1(paxRecord("path", "b\0")))).toThrow(refusal("NUL"));
    expect(() => readRecords(latin1(paxRecord("GNU.sparse.major", "1")))).toThrow(refusal("sparse"));
  });
});
