import { createHash } from "node:crypto";
import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openBlobPair } from "../../../src/linux/blob-pair.ts";

function pattern(length: number, seed: number): Uint8Array {
  return Buffer.allocUnsafeSlow(length).map((_, at) => (at * seed) ^ (at >> 5) ^ (at >> 13));
}

function digestOf(algorithm: string, pieces: readonly Uint8Array[]): string {
  const hash = createHash(algorithm);
  for (const piece of pieces) hash.update(piece);
  return `${algorithm}:${hash.digest("hex")}`;
}

/** What came of one piece of the first stream: pieces of the second. */
interface Round {
  readonly offered: Uint8Array;
  readonly decoded: readonly Uint8Array[];
}

function measure(
  rounds: readonly Round[],
  [first, second]: readonly ["sha256" | "sha512", "sha256" | "sha512"],
): readonly [string, string] {
  const pair = openBlobPair(first, second);
  for (const { offered, decoded } of rounds) {
    // As the import has it: the memory of a piece is used again for the next one, once it is settled.
    const window = Uint8Array.from(offered);
    pair.offer(window);
    for (const piece of decoded) pair.update(Uint8Array.from(piece));
    pair.settle();
    window.fill(0xee);
  }
  return [pair.measuredFirst(), pair.measuredSecond()];
}

function expected(rounds: readonly Round[], [first, second]: readonly [string, string]): readonly [string, string] {
  const decoded = rounds.flatMap((round) => round.decoded);
  return [
    digestOf(
      first,
      rounds.map(({ offered }) => offered),
    ),
    digestOf(second, decoded),
  ];
}

describe.each([
  ["sha256", "sha256"],
  ["sha512", "sha256"],
  ["sha256", "sha512"],
] as const)("openBlobPair of %s and %s", (first, second) => {
  const algorithms = [first, second] as const;

  test("gives Node's digests for pieces of any lengths", () => {
    const lengths = fc.oneof(fc.nat(200), fc.nat(5000), fc.constantFrom(0, 1, 63, 64, 65, 127, 128, 129, 256 * 1024));
    const rounds = fc.array(fc.record({ offered: lengths, decoded: fc.array(lengths, { maxLength: 4 }) }));
    fc.assert(
      fc.property(rounds, (sizes) => {
        const made = sizes.map(({ offered, decoded }, i) => ({
          offered: pattern(offered, 2 * i + 3),
          decoded: decoded.map((length, k) => pattern(length, 5 * k + i + 7)),
        }));
        expect(measure(made, algorithms)).toEqual(expected(made, algorithms));
      }),
      { numRuns: 60 },
    );
  });

  test("measures what was offered last, also when nobody settles it", () => {
    const pair = openBlobPair(first, second);
    pair.offer(pattern(300, 3));
    pair.offer(pattern(500, 5));
    expect(pair.measuredFirst()).toBe(digestOf(first, [pattern(300, 3), pattern(500, 5)]));
    expect(pair.measuredSecond()).toBe(digestOf(second, []));
  });
});

test("openBlobPair: an independent implementation agrees, also at odd addresses", () => {
  const first = pattern(100_003, 11).subarray(3);
  const second = pattern(700_005, 13).subarray(5);
  const pair = openBlobPair("sha256", "sha256");
  pair.offer(first);
  pair.update(second);
  expect(pair.measuredFirst()).toBe(`sha256:${Buffer.from(sha256(first)).toString("hex")}`);
  expect(pair.measuredSecond()).toBe(`sha256:${Buffer.from(sha256(second)).toString("hex")}`);
});

test("openBlobPair: the count of bits goes on beyond 32 of them", () => {
  const piece = Buffer.alloc(64 * 1024 * 1024, "sixteen letters.");
  const pair = openBlobPair("sha256", "sha256");
  for (let i = 0; i < 9; i++) {
    pair.offer(piece);
    pair.update(piece);
    pair.settle();
  }
  const whole = digestOf(
    "sha256",
    Array.from({ length: 9 }, () => piece),
  );
  expect([pair.measuredFirst(), pair.measuredSecond()]).toEqual([whole, whole]);
});
