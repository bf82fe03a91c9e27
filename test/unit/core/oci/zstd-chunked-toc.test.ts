import { describe, expect, test } from "vitest";
import { parseChunkedToc } from "../../../../src/core/oci/zstd-chunked-toc.ts";
import type { TocFields } from "../../../builders/chunked-layer.ts";

const hexes = ["a", "b", "c", "d"].map((digit) => digit.repeat(64));
const [fileHex = "", firstHex = "", secondHex = "", splitHex = ""] = hexes;
const file: TocFields = {
  type: "reg",
  name: "usr/a",
  size: 100,
  digest: `sha256:${fileHex}`,
  offset: 50,
  endOffset: 90,
};
const parts: readonly TocFields[] = [
  { ...file, name: "usr/b", chunkSize: 60, chunkDigest: `sha256:${firstHex}` },
  { type: "chunk", name: "usr/b", offset: 70, chunkSize: 40, chunkOffset: 60, chunkDigest: `sha256:${secondHex}` },
];

function parse(entries: readonly unknown[] | null, more: object = {}) {
  const toc = { version: 1, entries, tarSplitDigest: `sha256:${splitHex}`, ...more };
  return parseChunkedToc(new TextEncoder().encode(JSON.stringify(toc)), 1000);
}

describe("parseChunkedToc: reads", () => {
  test("an empty layer", () => {
    expect(parse(null)).toEqual({ tarSplitDigest: splitHex, entries: [] });
  });

  test("a file of one chunk, whose frame is all of its data", () => {
    expect(parse([file]).entries).toEqual([
      {
        ...{ name: "usr/a", sizeBytes: 100, digest: fileHex },
        chunks: [{ digest: fileHex, sizeBytes: 100, frame: { offsetBytes: 50, lengthBytes: 40 } }],
      },
    ]);
  });

  test("a file of several chunks, the last of which ends where the file's data end", () => {
    expect(parse(parts).entries).toEqual([
      {
        ...{ name: "usr/b", sizeBytes: 100, digest: fileHex },
        chunks: [
          { digest: firstHex, sizeBytes: 60, frame: { offsetBytes: 50, lengthBytes: 20 } },
          { digest: secondHex, sizeBytes: 40, frame: { offsetBytes: 70, lengthBytes: 20 } },
        ],
      },
    ]);
  });

  test("zeros, which need no frame", () => {
    const [first, second] = parts;
    const [entry] = parse([first, { ...second, chunkType: "zeros" }]).entries;
    expect(entry?.chunks[1]).toEqual({ digest: secondHex, sizeBytes: 40, frame: undefined });
  });

  test("what has no content, in the order of the tar", () => {
    const kinds = ["dir", "symlink", "hardlink", "char", "block", "fifo", "reg"];
    const { entries } = parse(kinds.map((type) => ({ type, name: type })));
    expect(entries).toEqual(kinds.map((name) => ({ name, sizeBytes: 0, digest: "", chunks: [] })));
  });
});

describe("parseChunkedToc: refuses", () => {
  const [first = file, second = file] = parts;
  test.each<readonly [string, readonly unknown[], string]>([
    ["an entry that is none", [1], "an entry is no object"],
    ["null for an entry", [null], "an entry is no object"],
    ["an unknown type", [{ type: "socket", name: "a" }], 'of the type "socket"'],
    ["an entry without type", [{ name: "a" }], "of the type undefined"],
    ["an entry without name", [{ type: "dir" }], "has no name"],
    ["a file without digest", [{ ...file, digest: undefined }], "has no digest"],
    ["a size below zero", [{ ...file, size: -1 }], "a size is no size"],
    ["a size that is text", [{ ...file, size: "1" }], "a size is no size"],
    ["a size that no double holds", [{ ...file, size: 2 ** 53 }], "a size is no size"],
    ["data behind the data", [{ ...file, endOffset: 1001 }], "reaches beyond the data"],
    ["an empty frame", [{ ...file, offset: 90 }], "out of order"],
    ["a frame at the start", [{ ...file, offset: undefined }], "out of order"],
    ["a chunk without file", [second], "a chunk stands without its file"],
    ["a chunk of another file", [first, { ...second, name: "usr/c" }], "a chunk stands without its file"],
    ["a chunk after another entry", [first, { type: "dir", name: "x" }, second], "not its 100 bytes"],
    ["a gap between chunks", [first, { ...second, chunkOffset: 61 }], "leave a gap"],
    ["chunks that are too little", [first, { ...second, chunkSize: 39 }], "not its 100 bytes"],
    ["an empty chunk", [first, { ...second, chunkSize: 0 }], "a chunk is empty"],
    ["a chunk without digest", [first, { ...second, chunkDigest: undefined }], "a chunk has no digest"],
    ["chunks out of order", [first, { ...second, offset: 40 }], "out of order"],
  ])("%s", (_, entries, message) => {
    expect(() => parse(entries)).toThrow(message);
  });

  test("another version", () => {
    expect(() => parse([], { version: 2 })).toThrow("its version is 2");
    expect(() => parse([], { version: undefined })).toThrow("its version is undefined");
  });

  test("a table without a digest of the tar-split", () => {
    expect(() => parse([], { tarSplitDigest: undefined })).toThrow("no digest of a tar-split");
  });
});
