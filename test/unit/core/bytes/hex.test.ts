import { expect, test } from "vitest";
import { fromBytes } from "../../../../src/core/bytes/byte-string.ts";
import { fromHex, isHex, isHexOf, toHex } from "../../../../src/core/bytes/hex.ts";

test("fromHex and toHex: every byte comes back", () => {
  const bytes = new Uint8Array(256).map((_, i) => i);
  expect(fromHex(toHex(bytes))).toEqual(bytes);
});

test.each(["0", "0g", "AB", "0:", "é0"])("fromHex: bad-format for %j", (text) => {
  expect(() => fromHex(text)).toThrow(expect.objectContaining({ code: "bad-format" }));
});

test("isHex: only lower-case digits, and the right number of them", () => {
  expect(["09af", "09AF", "09a", "09a/", "09a:", "09a`", "09ag"].filter((text) => isHex(text, 2))).toEqual(["09af"]);
});

test("isHexOf: only the lower-case digits of all of the bytes", () => {
  const bytes = fromBytes(Uint8Array.of(0x09, 0xaf));
  const texts = ["09af", "09AF", "09a", "09af0", "09ae", "09bf", "19af"];
  expect(texts.filter((text) => isHexOf(text, bytes))).toEqual(["09af"]);
});
