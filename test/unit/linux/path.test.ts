import { expect, test } from "vitest";
import { fromBytes, fromText } from "../../../src/core/bytes/byte-string.ts";
import { childPath, pathBelow } from "../../../src/linux/path.ts";

test("childPath: keeps a name's bytes", () => {
  const odd = fromBytes(Uint8Array.of(0xff, 0x41));
  expect(childPath(fromText("/d"), odd)).toBe("/d/\xffA");
});

test("pathBelow: takes text, whose bytes are UTF-8", () => {
  expect(pathBelow(fromText("/d"), "a/b")).toBe("/d/a/b");
  expect(pathBelow(fromText("/d"), "ü")).toBe("/d/\xc3\xbc");
});
