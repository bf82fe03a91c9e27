import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { BlobHasher, sha256Of } from "../../../../src/core/digest/blob-hasher.ts";

const bytes = new TextEncoder().encode("some bytes of a blob");

test.each([
  ["sha256", sha256],
  ["sha512", sha512],
] as const)(
  "BlobHasher: %s of pieces is that of the whole, as another implementation computes it",
  (algorithm, oracle) => {
    const hasher = new BlobHasher(algorithm);
    hasher.update(bytes.subarray(0, 3));
    hasher.update(bytes.subarray(3));
    expect(hasher.measured()).toBe(`${algorithm}:${bytesToHex(oracle(bytes))}`);
  },
);

test("sha256Of: of nothing", () => {
  expect(sha256Of(new Uint8Array())).toBe("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});
