import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ByteReader } from "../../../../src/core/bytes/byte-reader.ts";
import { verityDigest } from "../../../../src/core/digest/fs-verity.ts";
import type { VerityAlgorithm } from "../../../../src/core/digest/object-id.ts";
import { type VerityTail, VerityTailBuilder } from "../../../../src/core/disk/verity-tail.ts";

function bytesOf(length: number): Uint8Array {
  return new Uint8Array(length).map((_, at) => (at * 7 + (at >> 8)) % 251);
}

function tailOf(algorithm: VerityAlgorithm, bytes: Uint8Array, pieceBytes = bytes.length || 1): VerityTail {
  const builder = new VerityTailBuilder(algorithm, bytes.length);
  for (let at = 0; at < bytes.length; at += pieceBytes) builder.update(bytes.subarray(at, at + pieceBytes));
  return builder.finish();
}

/** As the kernel reads it: each block of a level is hashed, and found in the level above; the top one in the descriptor. */
function checkTree(algorithm: VerityAlgorithm, data: Uint8Array, tail: Uint8Array): void {
  const hashOf = (block: Uint8Array) => createHash(algorithm).update(block).digest();
  const blocksOf = (bytes: Uint8Array) =>
    Array.from({ length: Math.ceil(bytes.length / 4096) }, (_, index) => {
      const block = new Uint8Array(4096);
      block.set(bytes.subarray(index * 4096, (index + 1) * 4096));
      return block;
    });
  const levels: Buffer[] = [];
  for (let level = blocksOf(data); level.length > 1; ) {
    const hashes = Buffer.concat(level.map(hashOf));
    levels.unshift(Buffer.concat([hashes, Buffer.alloc(-hashes.length & 4095)]));
    level = blocksOf(hashes);
  }
  const tree = Buffer.concat(levels);
  expect(Buffer.compare(tail.subarray(0, tree.length), tree)).toBe(0);
  expect(tail.length).toBe(tree.length + 4096);
  const root = Buffer.alloc(64);
  if (data.length > 0) hashOf(levels[0] ?? blocksOf(data)[0] ?? data).copy(root);
  expect(Buffer.compare(tail.subarray(tree.length + 16, tree.length + 80), root)).toBe(0);
}

describe.each(["sha256", "sha512"] as const)("VerityTailBuilder with %s", (algorithm) => {
  test.each([0, 1, 4095, 4096, 4097, 8192, 65_536, 65_537, 262_144, 270_000, 524_288, 600_000, 17_000_000])(
    "makes the tree, the descriptor and the digest of a file of %i bytes",
    (length) => {
      const bytes = bytesOf(length);
      const { digest, offsetBytes, bytes: tail } = tailOf(algorithm, bytes);
      expect(digest).toBe(verityDigest(algorithm, bytes));
      expect(offsetBytes).toBe(Math.ceil(length / 65_536) * 65_536);
      checkTree(algorithm, bytes, tail);
      const reader = new ByteReader(tail, "tail");
      expect(reader.u32(tail.length - 4)).toBe(256);
      const at = tail.length - 4096;
      expect([reader.u8(at), reader.u8(at + 1), reader.u8(at + 2), reader.u8(at + 3)]).toEqual([
        1,
        algorithm === "sha256" ? 1 : 2,
        12,
        0,
      ]);
      expect(reader.u64(at + 8)).toBe(BigInt(length));
    },
  );

  test.each([1, 100, 4095, 4096, 4097, 10_000])("does not care for the pieces that bytes come in: %i", (pieceBytes) => {
    const bytes = bytesOf(20_000);
    expect(tailOf(algorithm, bytes, pieceBytes)).toEqual(tailOf(algorithm, bytes));
  });
});

test("VerityTailBuilder: a file of another size than it said is a bug", () => {
  expect(() => new VerityTailBuilder("sha512", 5).update(new Uint8Array(6))).toThrow("as many bytes as it says");
  expect(() => new VerityTailBuilder("sha512", 5).finish()).toThrow("all bytes of the file have come");
});
