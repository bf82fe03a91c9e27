import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseLayerDigest } from "../../src/core/digest/oci-digest.ts";
import { sha256Hex } from "../../src/core/digest/sha256-hex.ts";
import { findChunkedTables } from "../../src/core/oci/zstd-chunked-tables.ts";
import { readTarSplit } from "../../src/core/tar/tar-split.ts";
import { decompressZstd } from "../../src/linux/zstd-decoder.ts";
import { readToc, tablesRange, unpackTarSplit } from "../../src/repo/chunked-tables.ts";

const vectors = new URL("../vectors/zstd-chunked/", import.meta.url);
const blob = readFileSync(new URL("layer.tar.zst", vectors));
const { descriptor, diffId } = JSON.parse(readFileSync(new URL("layer.json", vectors), "utf8"));

/** The tar that tar-split and the frames of the table of contents make. */
function assemble(): Uint8Array {
  const tables = findChunkedTables({
    ...{ mediaType: descriptor.mediaType, compression: "zstd", sizeBytes: descriptor.size },
    digest: parseLayerDigest(descriptor.digest),
    annotations: new Map(Object.entries<string>(descriptor.annotations)),
  });
  if (tables === undefined) throw new Error("skopeo's annotations name two tables");
  const { offsetBytes, lengthBytes } = tablesRange(tables);
  const tableBytes = blob.subarray(offsetBytes, offsetBytes + lengthBytes);
  const toc = readToc(tables, tableBytes);
  const entries = toc.entries[Symbol.iterator]();
  const pieces: Uint8Array[] = [];
  for (const record of readTarSplit(unpackTarSplit(tables, toc, tableBytes))) {
    if (record.kind === "segment") {
      pieces.push(Uint8Array.from(record.bytes));
      continue;
    }
    const { name, sizeBytes, chunks } = entries.next().value ?? { name: "", sizeBytes: 0, chunks: [] };
    expect([name, sizeBytes]).toEqual([record.name, record.sizeBytes]);
    for (const { digest, frame, sizeBytes } of chunks) {
      const start = frame?.offsetBytes ?? 0;
      const bytes =
        frame === undefined
          ? new Uint8Array(sizeBytes)
          : decompressZstd(blob.subarray(start, start + frame.lengthBytes), sizeBytes);
      expect(sha256Hex(bytes)).toBe(digest);
      pieces.push(bytes);
    }
  }
  expect(entries.next().done).toBe(true);
  return Buffer.concat(pieces);
}

test("a layer that skopeo wrote is its tar again, from tar-split and single frames", () => {
  const tar = assemble();
  expect(`sha256:${sha256Hex(tar)}`).toBe(diffId);
  expect(sha256Hex(decompressZstd(blob, 1024 * 1024))).toBe(sha256Hex(tar));
});
