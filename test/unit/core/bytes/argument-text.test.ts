import fc from "fast-check";
import { expect, test } from "vitest";
import { argumentBytes, argumentText, isPlainArgument } from "../../../../src/core/bytes/argument-text.ts";
import { fromBytes, fromText } from "../../../../src/core/bytes/byte-string.ts";

// What Python's os.fsdecode makes of the same bytes.
test.each<[string, readonly number[], string]>([
  ["nothing", [], ""],
  ["characters of one to four bytes", [0x61, 0xc3, 0xa4, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x90, 0x9f], "aä€\u{1f41f}"],
  ["a byte order mark", [0xef, 0xbb, 0xbf, 0x61], "\ufeffa"],
  ["U+FFFD itself", [0xef, 0xbf, 0xbd], "\ufffd"],
  ["a byte that begins nothing", [0x61, 0xff, 0x62], "a\udcffb"],
  ["a byte that only goes on", [0x80, 0x61], "\udc80a"],
  ["a character cut off by another", [0xe2, 0x82, 0x61], "\udce2\udc82a"],
  ["a character cut off by the end", [0xf0, 0x9f, 0x90], "\udcf0\udc9f\udc90"],
  ["a longer form than needed", [0xc0, 0xaf, 0xe0, 0x80, 0xaf], "\udcc0\udcaf\udce0\udc80\udcaf"],
  ["a surrogate", [0xed, 0xb3, 0xbf], "\udced\udcb3\udcbf"],
  ["more than U+10FFFF", [0xf4, 0x90, 0x80, 0x80], "\udcf4\udc90\udc80\udc80"],
])("argumentText: %s", (_, bytes, text) => {
  expect(argumentText(Uint8Array.from(bytes))).toBe(text);
  expect(argumentBytes(text)).toBe(fromBytes(Uint8Array.from(bytes)));
  expect(isPlainArgument(text)).toBe(!/[\udc80-\udcff]/u.test(text));
});

test("argumentBytes: gives back any bytes", () => {
  const likeUtf8 = fc.constantFrom(0x41, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5);
  const bytes = fc.array(fc.oneof(likeUtf8, fc.nat(255)));
  fc.assert(
    fc.property(bytes, (some) => {
      const given = Uint8Array.from(some);
      expect(argumentBytes(argumentText(given))).toBe(fromBytes(given));
    }),
  );
});

test("argumentBytes: is UTF-8 for all other text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(argumentBytes(text)).toBe(fromText(text));
      expect(isPlainArgument(text)).toBe(true);
    }),
  );
});
