import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { describe, expect, test } from "vitest";
import { verityDigest } from "../../../src/core/digest/fs-verity.ts";
import { nativeBlockHasher } from "../../../src/linux/native-block-hasher.ts";

const algorithms = [
  { algorithm: "sha256", independent: sha256 },
  { algorithm: "sha512", independent: sha512 },
] as const;

describe.each(algorithms)("nativeBlockHasher of $algorithm", ({ algorithm, independent }) => {
  const hasher = nativeBlockHasher(algorithm);

  test("hashes each block as an independent implementation does, and writes nowhere else", () => {
    const bytes = new Uint8Array(5 * 4096 + 100).map((_, at) => (at * 7) ^ (at >> 5));
    const blocks = bytes.subarray(100);
    const length = independent(blocks.subarray(0, 1)).length;
    const target = new Uint8Array(7 * length);
    hasher?.(blocks, target, length);
    const expected = new Uint8Array(7 * length);
    for (let at = 0; at < 5; at++) {
      expected.set(independent(blocks.subarray(at * 4096, (at + 1) * 4096)), (at + 1) * length);
    }
    expect(hasher).toBeDefined();
    expect(Buffer.compare(target, expected)).toBe(0);
  });

  test("gives the same fs-verity digests as Node's own hashing", () => {
    for (const length of [0, 1, 4096, 4097, 128 * 4096, 130 * 4096 + 5, 2_000_000]) {
      const bytes = new Uint8Array(length).map((_, at) => at % 253);
      expect(verityDigest(algorithm, bytes, hasher), `${length} bytes`).toBe(verityDigest(algorithm, bytes));
    }
  });

  test("refuses to write behind the end of the target", () => {
    expect(() => hasher?.(new Uint8Array(16384), new Uint8Array(190), 65)).toThrow(/fit into the target/);
  });
});
