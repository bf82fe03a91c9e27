import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type BlockHasher, VerityHasher, verityDigest } from "../../src/core/digest/fs-verity.ts";

const block = 4096;
const hashes = { sha256, sha512 } as const;
type Algorithm = keyof typeof hashes;

/** fs-verity written down as simply as can be, with hashes from another library. */
function plainVerity(algorithm: Algorithm, bytes: Uint8Array): string {
  const hash = hashes[algorithm];
  let level: Uint8Array = bytes;
  while (bytes.length > 0) {
    const digests: Uint8Array[] = [];
    for (let at = 0; at < level.length; at += block) {
      const padded = new Uint8Array(block);
      padded.set(level.subarray(at, at + block));
      digests.push(hash(padded));
    }
    const [root] = digests;
    if (digests.length === 1 && root !== undefined) {
      level = root;
      break;
    }
    level = Uint8Array.from(digests.flatMap((digest) => [...digest]));
  }
  const descriptor = new Uint8Array(256);
  descriptor.set([1, algorithm === "sha256" ? 1 : 2, 12]);
  new DataView(descriptor.buffer).setUint32(8, bytes.length, true);
  descriptor.set(level, 16);
  return bytesToHex(hash(descriptor));
}

const algorithms: readonly Algorithm[] = ["sha256", "sha512"];
const content = fc
  .tuple(
    fc.oneof(
      fc.nat(3 * block),
      fc.nat(300 * block),
      fc.nat(140).map((n) => n * block),
    ),
    fc.nat(255),
  )
  .map(([length, seed]) => new Uint8Array(length).map((_, i) => (i * 7 + (i >> 8) + seed) & 255));

test.each(algorithms)("law: verityDigest is what another library's %s gives", (algorithm) => {
  fc.assert(
    fc.property(content, (bytes) => {
      expect(verityDigest(algorithm, bytes)).toBe(plainVerity(algorithm, bytes));
    }),
    { numRuns: 40 },
  );
});

test.each(algorithms)("law: VerityHasher does not care how the bytes are cut (%s)", (algorithm) => {
  fc.assert(
    fc.property(content, fc.array(fc.nat(3 * block), { maxLength: 40 }), (bytes, cuts) => {
      const hasher = new VerityHasher(algorithm);
      let at = 0;
      for (const cut of cuts) {
        hasher.update(bytes.subarray(at, at + cut));
        at = Math.min(bytes.length, at + cut);
      }
      hasher.update(bytes.subarray(at));
      expect(hasher.digest()).toBe(verityDigest(algorithm, bytes));
    }),
    { numRuns: 100 },
  );
});

test("verityDigest: uses the block hasher that it is given, for whole blocks", () => {
  const lengths: number[] = [];
  const hashBlocks: BlockHasher = (blocks, target, offset) => {
    lengths.push(blocks.length);
    for (let at = 0; at < blocks.length; at += block) {
      target.set(sha256(blocks.subarray(at, at + block)), offset + (at / block) * 32);
    }
  };
  const bytes = new Uint8Array(200 * block + 1).fill(3);
  expect(verityDigest("sha256", bytes, hashBlocks)).toBe(plainVerity("sha256", bytes));
  expect(lengths).toEqual([128 * block, block, 72 * block, block, block, block]);
});
