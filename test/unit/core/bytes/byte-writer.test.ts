import { expect, test } from "vitest";
import { type ByteString, toBytes } from "../../../../src/core/bytes/byte-string.ts";
import { ByteWriter } from "../../../../src/core/bytes/byte-writer.ts";

test.each([
  ["short", "ab"],
  ["short, with bytes that are no ASCII", "a\xff\x80"],
  ["long", "0123456789".repeat(10)],
  ["long, with NULs", "0\0".repeat(50)],
  ["long, with one last byte that is no ASCII", `${"0123456789".repeat(10)}\x80`],
  ["long, all of it high bytes", "\xff\xe9".repeat(50)],
])("string: writes the bytes of a string that is %s, and nothing beside them", (_, text) => {
  const writer = new ByteWriter(text.length + 8);
  writer.offset = 4;
  writer.string(text as ByteString);
  expect(writer.offset).toBe(text.length + 4);
  expect([...writer.bytes]).toEqual([0, 0, 0, 0, ...toBytes(text as ByteString), 0, 0, 0, 0]);
});

test("string: running over the end is a bug, and does not cut the string off", () => {
  const writer = new ByteWriter(50);
  expect(() => writer.string("a".repeat(51) as ByteString)).toThrow("the size was computed for all that is written");
});
