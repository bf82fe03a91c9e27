import { describe, expect, test } from "vitest";
import { type BlockHasher, nodeBlockHasher, verityDigest } from "../../../../src/core/digest/fs-verity.ts";
import type { ObjectId, VerityAlgorithm } from "../../../../src/core/digest/object-id.ts";
import { maxBatchedBytes, VerityBatch } from "../../../../src/core/digest/verity-batch.ts";

function content(sizeBytes: number): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_, i) => (i * 7 + sizeBytes) & 255);
}

/** A batch, and what it has measured. */
function makeBatch(algorithm: VerityAlgorithm, hashBlocks?: BlockHasher) {
  const measured: [ObjectId, Uint8Array][] = [];
  const batch = new VerityBatch(algorithm, (id, bytes) => measured.push([id, bytes.slice()]), hashBlocks);
  return { batch, measured };
}

describe.each(["sha256", "sha512"] as const)("VerityBatch with %s", (algorithm) => {
  const expected = (sizes: readonly number[]) =>
    sizes.map((sizeBytes) => [verityDigest(algorithm, content(sizeBytes)), content(sizeBytes)]);

  test("measure: gives each content the digest that it has alone, in their order", () => {
    const sizes = [1, 65, 4095, 4096, 4097, 8192, 20_000, maxBatchedBytes, 3];
    const { batch, measured } = makeBatch(algorithm);
    for (const sizeBytes of sizes) batch.add(content(sizeBytes));
    batch.measure();
    expect(measured).toEqual(expected(sizes));
  });

  test("measure: nothing of an earlier batch is left in a later one", () => {
    const { batch, measured } = makeBatch(algorithm);
    batch.add(content(maxBatchedBytes));
    batch.measure();
    for (const sizeBytes of [5, 4097]) batch.add(content(sizeBytes));
    batch.measure();
    expect(measured).toEqual(expected([maxBatchedBytes, 5, 4097]));
  });

  test("measure: blocks of all contents are hashed by one call", () => {
    const calls: [number, number | undefined][] = [];
    const hash = nodeBlockHasher(algorithm);
    const { batch } = makeBatch(algorithm, (blocks, target, offset, blockBytes) => {
      calls.push([blocks.length, blockBytes]);
      hash(blocks, target, offset, blockBytes);
    });
    for (let i = 0; i < 30; i++) batch.add(content(100 + i));
    batch.add(content(5000));
    batch.measure();
    expect(calls).toEqual([
      [32 * 4096, undefined],
      [4096, undefined],
      [31 * 256, 256],
    ]);
  });

  test("id: measures all that is there, once", () => {
    const { batch, measured } = makeBatch(algorithm);
    const awaited = [70, 80].map((sizeBytes) => batch.add(content(sizeBytes)));
    expect(measured).toEqual([]);
    expect(awaited.map(({ id }) => id)).toEqual([70, 80].map((size) => verityDigest(algorithm, content(size))));
    batch.measure();
    expect(measured).toEqual(expected([70, 80]));
  });
});

test("add: measures when there is no room for more", () => {
  const { batch, measured } = makeBatch("sha512");
  for (let i = 0; i < 63; i++) batch.add(content(1));
  batch.add(content(4096));
  expect(measured).toHaveLength(0);
  batch.add(content(1));
  expect(measured).toHaveLength(64);
});

test("clear: what is dropped is not measured, and has no id", () => {
  const { batch, measured } = makeBatch("sha512");
  const dropped = batch.add(content(1));
  batch.clear();
  expect(() => dropped.id).toThrow("was not dropped");
  expect(measured).toEqual([]);
});

test("measure: leaves the batch empty when a content cannot be taken", () => {
  const batch = new VerityBatch("sha512", () => {
    throw new Error("no space");
  });
  batch.add(content(1));
  expect(() => batch.measure()).toThrow("no space");
  expect(() => batch.measure()).not.toThrow();
});

test.each([0, maxBatchedBytes + 1])("add: refuses a content of %d bytes", (sizeBytes) => {
  expect(() => makeBatch("sha512").batch.add(content(sizeBytes))).toThrow("only small contents are measured together");
});
