import { expect, test } from "vitest";
import { ObjectDigests } from "../../../../src/core/erofs/object-digests.ts";

/** A digest of 16 digits; the length does not matter. */
const digest = (number: number) => number.toString(16).padStart(16, "0");

/** Adds digests one after the other. */
function firsts(all: readonly string[]): (number | undefined)[] {
  const digests = new ObjectDigests(all.length, 2);
  return all.map((each, number) => {
    expect(digests.set(number, each)).toBe(true);
    return digests.add(number);
  });
}

test("ObjectDigests: the first with a digest stands for all others", () => {
  expect(firsts(["ab".repeat(8), "cd".repeat(8), "ab".repeat(8), "ab".repeat(8), "cd".repeat(8)])).toEqual([
    0, 1, 0, 0, 1,
  ]);
});

test("ObjectDigests: digests that begin alike are told apart", () => {
  expect(firsts([1, 2, 1, 3].map(digest))).toEqual([0, 1, 0, 3]);
});

test("ObjectDigests: gives up where so many begin alike that it would take long", () => {
  const found = firsts(Array.from({ length: 100 }, (_, number) => digest(number)));
  expect(found[50]).toBe(50);
  expect(found[99]).toBeUndefined();
});

test.each([
  ["shorter", "00"],
  ["longer", digest(0).padEnd(18, "0")],
  ["in capitals", "A".repeat(16)],
  ["no hex in its second half", "0000zzzz".repeat(2)],
])("ObjectDigests: refuses one that is %s", (_, text) => {
  expect(new ObjectDigests(1, 2).set(0, text)).toBe(false);
});
