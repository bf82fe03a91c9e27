import { gunzipSync } from "node:zlib";
import { decompress as unzstd } from "@mongodb-js/zstd";
import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { findChunkedTables } from "../../../src/core/oci/zstd-chunked-tables.ts";
import { parseChunkedToc } from "../../../src/core/oci/zstd-chunked-toc.ts";
import { decompressZstd } from "../../../src/linux/zstd-decoder.ts";
import { type LayerFormat, packLayer } from "../../../src/operations/layer-packing.ts";
import { buildTar, sha256 } from "../../builders/oci-layer.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

/** A tar with tables that are larger than what an encoder gives at once: names that do not repeat. */
const tar = await buildTar(
  Array.from({ length: 9000 }, (_, i) => ({
    path: `f/${sha256(Buffer.from(`${i}`)).slice(7)}`,
    content: i % 3 === 0 ? `${i}` : "",
  })),
);

const path = fromText("/layer");

/** One buffer for all pieces, as the repo reads: whoever keeps a piece keeps a wrong one. */
async function* inOneBuffer(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(length);
  for (let at = 0; at < bytes.length; at += length) {
    const part = bytes.subarray(at, at + length);
    buffer.fill(0xee);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
  }
}

async function pack(format: LayerFormat, pieceBytes = 300_000, bytes: Uint8Array = tar) {
  const linux = new FakeLinux();
  const packed = await packLayer(linux.files, path, { tar: () => inOneBuffer(bytes, pieceBytes), options: { format } });
  const blob = Buffer.from(linux.files.readFile(path, 1e9));
  expect(packed).toMatchObject({ digest: sha256(blob), sizeBytes: blob.length, refusal: undefined });
  return { packed, blob };
}

test("packLayer: every form unpacks to the tar", async () => {
  expect((await pack("none")).blob.equals(tar)).toBe(true);
  expect(gunzipSync((await pack("gzip")).blob).equals(tar)).toBe(true);
  expect(gunzipSync((await pack("gzip", 1000)).blob).equals(tar)).toBe(true);
  const { blob } = await pack("zstd", 1000);
  expect((await unzstd(blob)).equals(tar)).toBe(true);
  expect((await pack("zstd")).packed.annotations).toEqual({});
});

test("packLayer: the large tables of a zstd:chunked layer are whole", async () => {
  const { packed, blob } = await pack("zstd:chunked");
  const tables = findChunkedTables({
    mediaType: "",
    ...packed,
    annotations: new Map(Object.entries(packed.annotations)),
  });
  if (tables === undefined) throw new Error("the layer has tables");
  const cut = ({ offsetBytes, lengthBytes }: typeof tables.toc) =>
    blob.subarray(offsetBytes, offsetBytes + lengthBytes);
  expect(tables.toc.lengthBytes).toBeGreaterThan(2 * 128 * 1024);
  expect(sha256(cut(tables.toc))).toBe(`sha256:${tables.tocDigest}`);
  const toc = await unzstd(cut(tables.toc));
  expect(toc.length).toBe(tables.toc.unpackedBytes);
  const { entries, tarSplitDigest } = parseChunkedToc(toc, tables.toc.offsetBytes - 8);
  expect(entries).toHaveLength(9000);
  expect(`sha256:${tarSplitDigest}`).toBe(sha256(cut(tables.tarSplit)));
  expect((await unzstd(cut(tables.tarSplit))).length).toBe(tables.tarSplit.unpackedBytes);
  const frame = entries[3]?.chunks[0]?.frame;
  if (frame === undefined) throw new Error("the fourth file has content");
  expect((await unzstd(cut(frame as typeof tables.toc))).toString()).toBe("3");
  expect((await pack("zstd:chunked", 1000)).packed).toEqual(packed);
});

test("packLayer: a tar of no bytes is a stream, too, with an empty frame that other tools know it by", async () => {
  const nothing = new Uint8Array(0);
  expect((await pack("none", 1, nothing)).blob).toHaveLength(0);
  expect(gunzipSync((await pack("gzip", 1, nothing)).blob)).toHaveLength(0);
  for (const format of ["zstd", "zstd:chunked"] as const) {
    const { blob } = await pack(format, 1, nothing);
    expect(blob.subarray(0, 4).toString("hex")).toBe("28b52ffd");
    expect(decompressZstd(blob, 100)).toHaveLength(0);
  }
});

test("packLayer: errors of the tar are the tar's own", async () => {
  const linux = new FakeLinux();
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield tar.subarray(0, 10_000);
    throw new Error("the link broke");
  };
  for (const format of ["zstd:chunked", "zstd", "gzip", "none"] as const) {
    const packed = packLayer(linux.files, fromText(`/layer-${format}`), { tar: failing, options: { format } });
    await expect(packed).rejects.toThrow("the link broke");
  }
  expect(linux.openPaths).toEqual([]);
});
