import { describe, expect, test } from "vitest";
import { fromBytes, fromText } from "../../../../src/core/bytes/byte-string.ts";
import type { OutlineEntry } from "../../../../src/core/zstd-chunked/outline-entry.ts";
import { tocEnd, tocEntry } from "../../../../src/core/zstd-chunked/toc-text.ts";

const plain: OutlineEntry = {
  ...{ type: "reg", name: fromText("a"), linkName: fromText(""), mode: 0o644, sizeBytes: 0, uid: 0, gid: 0 },
  modTime: { seconds: 0n, nanoseconds: 0 },
  ...{ accessTime: undefined, changeTime: undefined, devMajor: 0, devMinor: 0, xattrs: new Map() },
};

describe("tocEntry", () => {
  test("an empty file: no key whose value is zero", () => {
    expect(tocEntry(plain, undefined)).toBe('{"type":"reg","name":"a","mode":420,"modtime":"1970-01-01T00:00:00Z"}');
  });

  test("every key, in the order that Go writes", () => {
    const entry: OutlineEntry = {
      ...plain,
      ...{ type: "char", linkName: fromText("l&"), uid: 1, gid: 2, devMajor: 3, devMinor: 4 },
      modTime: { seconds: -62_135_596_800n, nanoseconds: 0 },
      accessTime: { seconds: -62_135_596_800n, nanoseconds: 1 },
      changeTime: { seconds: 2n, nanoseconds: 0 },
      xattrs: new Map([
        [fromText("user.b"), fromBytes(new Uint8Array([0, 255]))],
        [fromText("user.a"), fromText("")],
      ]),
    };
    expect(tocEntry(entry, undefined)).toBe(
      '{"type":"char","name":"a","linkName":"l\\u0026","mode":420,"uid":1,"gid":2,' +
        '"accesstime":"0001-01-01T00:00:00.000000001Z","changetime":"1970-01-01T00:00:02Z","devMajor":3,"devMinor":4,' +
        '"xattrs":{"user.a":"","user.b":"AP8="}}',
    );
  });

  const chunk = { offsetBytes: 130, sizeBytes: 5, digest: "sha256:c", isZeros: false };

  test("a file of one chunk has no keys of a chunk", () => {
    const content = { digest: "sha256:f", endBytes: 150, chunks: [chunk] };
    expect(tocEntry({ ...plain, sizeBytes: 5 }, content)).toContain(
      '"size":5,"modtime":"1970-01-01T00:00:00Z","digest":"sha256:f","offset":130,"endOffset":150}',
    );
  });

  test("further chunks are entries of their own", () => {
    const zeros = { offsetBytes: 150, sizeBytes: 2000, digest: "sha256:z", isZeros: true };
    const last = { offsetBytes: 160, sizeBytes: 1, digest: "sha256:l", isZeros: false };
    const content = { digest: "sha256:f", endBytes: 170, chunks: [chunk, zeros, last] };
    expect(tocEntry({ ...plain, sizeBytes: 2006 }, content)).toBe(
      '{"type":"reg","name":"a","mode":420,"size":2006,"modtime":"1970-01-01T00:00:00Z","digest":"sha256:f",' +
        '"offset":130,"endOffset":170,"chunkSize":5,"chunkDigest":"sha256:c"},' +
        '{"type":"chunk","name":"a","offset":150,"chunkSize":2000,"chunkOffset":5,"chunkDigest":"sha256:z","chunkType":"zeros"},' +
        '{"type":"chunk","name":"a","offset":160,"chunkSize":1,"chunkOffset":2005,"chunkDigest":"sha256:l"}',
    );
  });

  test("names that are no UTF-8 and times without a year are refused", () => {
    const bytes = fromBytes(new Uint8Array([0xff]));
    const refusal = (message: string) =>
      expect.objectContaining({ code: "unsupported", message: expect.stringContaining(message) });
    expect(() => tocEntry({ ...plain, linkName: bytes }, undefined)).toThrow(refusal("no UTF-8"));
    expect(() => tocEntry({ ...plain, modTime: { seconds: 2n ** 60n, nanoseconds: 0 } }, undefined)).toThrow(
      refusal("four digits"),
    );
  });
});

test("tocEnd: closes the entries where there are some", () => {
  expect(tocEnd("sha256:x", true)).toBe('],"tarSplitDigest":"sha256:x"}');
  expect(tocEnd("sha256:x", false)).toBe(',"tarSplitDigest":"sha256:x"}');
});
