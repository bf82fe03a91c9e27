import { expect, test } from "vitest";
import { decodeText, encodeText, exactText } from "../../../../src/core/bytes/utf8.ts";

test("encodeText: UTF-8; half a surrogate pair becomes U+FFFD", () => {
  expect([...encodeText("aé\ud800")]).toEqual([0x61, 0xc3, 0xa9, 0xef, 0xbf, 0xbd]);
});

test("decodeText: what is no UTF-8 becomes U+FFFD, a byte order mark at the start goes", () => {
  expect(decodeText(Buffer.from("\ufeffgr\ufeffün"))).toBe("gr\ufeffün");
  expect(decodeText(Uint8Array.of(0x61, 0xff))).toBe("a\ufffd");
  expect(decodeText(undefined)).toBe("");
});

test("exactText: the text, with a byte order mark; undefined for what is no UTF-8", () => {
  expect(exactText(Buffer.from("\ufeffgrün"))).toBe("\ufeffgrün");
  expect(exactText(Uint8Array.of(0x61, 0xff))).toBeUndefined();
  expect(exactText(Uint8Array.of(0xed, 0xa0, 0x80))).toBeUndefined();
});
