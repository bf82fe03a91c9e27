import { expect, test } from "vitest";
import type { ObjectId } from "../../../../src/core/digest/object-id.ts";
import { readLayerEntries } from "../../../../src/core/splitstream/layer-entries.ts";
import type { Splitstream, SplitstreamRecord } from "../../../../src/core/splitstream/splitstream-reader.ts";
import { defaultTarLimits } from "../../../../src/core/tar/tar-limits.ts";
import { scanLayer } from "../../../builders/layers.ts";
import { entry, pax, tarOf } from "../../../builders/tar-blocks.ts";

const tar = tarOf(
  entry({ name: "usr/", type: "5" }),
  entry({ name: "usr/small" }, "x".repeat(64)),
  pax({ "SCHILY.xattr.security.capability": "\xff" }),
  entry({ name: "usr/file" }, "y".repeat(65)),
  entry({ name: "usr/large" }, "z".repeat(2 * 1024 * 1024)),
);
const layer = scanLayer(tar);

function streamOf(records: readonly SplitstreamRecord[]): Splitstream {
  return {
    algorithm: "sha256",
    content: "layer",
    sizeBytes: 0n,
    streamRefs: [],
    objectRefs: [],
    namedRefs: new Map(),
    records: () => records[Symbol.iterator]() as IterableIterator<SplitstreamRecord>,
  };
}

const records: readonly SplitstreamRecord[] = layer.parts.map((part) =>
  part.kind === "object" ? { kind: "object", id: part.id } : { kind: "inline", bytes: part.bytes },
);

test("readLayerEntries: the same entries that the tar gave, without its contents", () => {
  expect(readLayerEntries(streamOf(records))).toEqual(layer.entries);
});

test("readLayerEntries: inline records may be cut anywhere", () => {
  const cut = records.flatMap((record): SplitstreamRecord[] => {
    if (record.kind === "object") return [record];
    const pieces: SplitstreamRecord[] = [];
    for (let at = 0; at < record.bytes.length; at += 100) {
      pieces.push({ kind: "inline", bytes: record.bytes.subarray(at, at + 100) });
    }
    return pieces;
  });
  expect(readLayerEntries(streamOf(cut))).toEqual(layer.entries);
});

const object: SplitstreamRecord = { kind: "object", id: "a".repeat(64) as ObjectId };
const inline = (bytes: Uint8Array): SplitstreamRecord => ({ kind: "inline", bytes });

test.each([
  ["an object at the start", [object]],
  ["an object for a directory", [inline(entry({ type: "5" })), object]],
  ["an object for a small file", [inline(entry({}, "x".repeat(64)).subarray(0, 512)), object]],
  ["an object and content before it", [inline(entry({}, "x".repeat(600)).subarray(0, 1000)), object]],
])("readLayerEntries: refuses %s", (_, bad) => {
  expect(() => readLayerEntries(streamOf(bad))).toThrow(
    expect.objectContaining({ code: "damaged", message: expect.stringContaining("stands where no file's content is") }),
  );
});

test("readLayerEntries: refuses a file of more than 64 bytes that is no object", () => {
  expect(() => readLayerEntries(streamOf([inline(tarOf(entry({}, "x".repeat(65))))]))).toThrow(
    expect.objectContaining({ code: "damaged", message: expect.stringContaining("is no object") }),
  );
});

test("readLayerEntries: refuses a layer that is cut off, and keeps limits", () => {
  expect(() => readLayerEntries(streamOf(records.slice(0, 2)))).toThrow("cut off");
  const limits = { ...defaultTarLimits, entries: 3 };
  expect(() => readLayerEntries(streamOf(records), limits)).toThrow("more than 3 entries");
});
