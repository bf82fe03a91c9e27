import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { VerityHasher, verityDigest } from "../../src/core/digest/fs-verity.ts";

interface VerityVector {
  readonly size: number;
  readonly sha256: string;
  readonly sha512: string;
}

const vectors: readonly VerityVector[] = JSON.parse(
  readFileSync(new URL("../vectors/composefs/verity.json", import.meta.url), "utf8"),
).vectors;

function content(size: number): Uint8Array {
  return new Uint8Array(size).map((_, i) => (i * 31 + 7) & 255);
}

test.each(vectors)("verityDigest: what fsverity 1.6 digests $size bytes to", ({ size, sha256, sha512 }) => {
  const bytes = content(size);
  expect(verityDigest("sha256", bytes)).toBe(sha256);
  expect(verityDigest("sha512", bytes)).toBe(sha512);
});

test.each(vectors)("VerityHasher: the same for $size bytes in pieces of 100 001", ({ size, sha256 }) => {
  const bytes = content(size);
  const hasher = new VerityHasher("sha256");
  for (let at = 0; at < size; at += 100_001) hasher.update(bytes.subarray(at, at + 100_001));
  expect(hasher.digest()).toBe(sha256);
});
