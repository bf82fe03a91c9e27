import { expect, test } from "vitest";
import { parseLayerDigest } from "../../../../src/core/digest/oci-digest.ts";
import { findChunkedTables } from "../../../../src/core/oci/zstd-chunked-tables.ts";
import { chunkedTail, isChunkedAnnotation } from "../../../../src/core/zstd-chunked/chunked-tail.ts";
import { sha256 } from "../../../builders/oci-layer.ts";

test("chunkedTail: tables and footer where the annotations say they are", () => {
  const toc = { bytes: Buffer.from("the table"), unpackedBytes: 100 };
  const tarSplit = { bytes: Buffer.from("the split"), unpackedBytes: 200 };
  const { bytes, annotations } = chunkedTail(1000, { toc, tarSplit });
  expect(bytes.length).toBe(8 + 9 + 8 + 9 + 8 + 64);
  expect(Buffer.from(bytes.subarray(0, 17)).toString("latin1")).toBe("\x50\x2a\x4d\x18\x09\0\0\0the table");
  const footer = Buffer.from(bytes.subarray(-64));
  const numbers = [0, 8, 16, 24, 32, 40, 48].map((at) => Number(footer.readBigUInt64LE(at)));
  expect(numbers).toEqual([1008, 9, 100, 1, 1025, 9, 200]);
  expect(footer.subarray(56).toString()).toBe("GNUlInUx");
  expect(annotations).toEqual({
    "io.github.containers.zstd-chunked.manifest-checksum": sha256(toc.bytes),
    "io.github.containers.zstd-chunked.manifest-position": "1008:9:100:1",
    "io.github.containers.zstd-chunked.tarsplit-position": "1025:9:200",
  });
  const layer = {
    ...{
      mediaType: "",
      digest: parseLayerDigest(sha256(bytes)),
      sizeBytes: 1000 + bytes.length,
      compression: "zstd" as const,
    },
    annotations: new Map(Object.entries(annotations)),
  };
  expect(findChunkedTables(layer)).toMatchObject({
    toc: { offsetBytes: 1008, lengthBytes: 9, unpackedBytes: 100 },
    tarSplit: { offsetBytes: 1025, lengthBytes: 9, unpackedBytes: 200 },
  });
});

test.each([
  ["io.github.containers.zstd-chunked.tarsplit-checksum", true],
  ["io.containers.zstd-chunked.manifest-position", true],
  ["containerd.io/snapshot/stargz/toc.digest", true],
  ["org.opencontainers.image.title", false],
])("isChunkedAnnotation: %s: %s", (key, expected) => {
  expect(isChunkedAnnotation(key)).toBe(expected);
});
