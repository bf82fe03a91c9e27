import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseObjectId } from "../../../src/core/digest/object-id.ts";
import { packStaged, stagedPathOf, unpackStaged } from "../../../src/repo/staged-objects.ts";

const idOf = (hex: string) => parseObjectId(hex.padEnd(64, "0"), "sha256");

const objects = [
  { id: idOf("aa"), path: fromText("/repo/staging/0/0"), sizeBytes: 65, replaces: false },
  { id: idOf("bb"), path: fromText("/repo/staging/0/a longer name"), sizeBytes: 2 ** 40, replaces: true },
  { id: idOf("cc"), path: fromText("/repo/staging/1/é"), sizeBytes: 1, replaces: false },
];

test("packStaged: what is unpacked in another thread is what was packed, in its order", () => {
  for (const together of [1, 2, 3, 100]) {
    expect([...unpackStaged(structuredClone(packStaged(objects, together)))]).toEqual(objects);
  }
  expect([...unpackStaged(packStaged([]))]).toEqual([]);
});

test("stagedPathOf: finds the object in whichever part it is, and no other", () => {
  for (const together of [1, 2, 100]) {
    const packed = packStaged(objects, together);
    for (const { id, path } of objects) expect(stagedPathOf(packed, id)).toBe(path);
    expect(stagedPathOf(packed, idOf("ab"))).toBeUndefined();
  }
});

test("stagedPathOf: the end of one id and the beginning of the next are no id", () => {
  const halves = [`${"1".repeat(32)}${"2".repeat(32)}`, `${"3".repeat(32)}${"4".repeat(32)}`];
  const [first, second] = halves.map((hex) => parseObjectId(hex, "sha256"));
  const across = parseObjectId(`${"2".repeat(32)}${"3".repeat(32)}`, "sha256");
  if (first === undefined || second === undefined) throw new Error("two ids");
  const staged = [first, second].map((id, index) => ({
    ...{ id, path: fromText(`/${index}`), sizeBytes: 1, replaces: false },
  }));
  expect(stagedPathOf(packStaged(staged), across)).toBeUndefined();
  const three = [...staged, { id: across, path: fromText("/across"), sizeBytes: 1, replaces: false }];
  expect(stagedPathOf(packStaged(three), across)).toBe("/across");
});
