import { expect, test } from "vitest";
import { derElements } from "../../../../src/core/bytes/der.ts";

const elements = (...bytes: readonly number[]) =>
  derElements(Uint8Array.from(bytes)).map(({ tag, content }) => [tag, content.length]);

test("derElements: reads short and long lengths, one element after the other", () => {
  expect(elements()).toEqual([]);
  expect(elements(5, 0, 4, 1, 7)).toEqual([
    [5, 0],
    [4, 1],
  ]);
  expect(elements(4, 0x81, 200, ...new Array(200).fill(1))).toEqual([[4, 200]]);
  expect(elements(4, 0x82, 1, 0, ...new Array(256).fill(1))).toEqual([[4, 256]]);
});

test.each([
  ["ends in its tag", [4]],
  ["is shorter than its length", [4, 2, 1]],
  ["ends in its length", [4, 0x82, 1]],
  ["has a length of four bytes", [4, 0x84, 0, 0, 0, 0]],
  ["has no length", [4, 0xff]],
])("derElements: refuses what %s", (_name, bytes) => {
  expect(() => elements(...bytes)).toThrow(/does not end where it should/);
});
