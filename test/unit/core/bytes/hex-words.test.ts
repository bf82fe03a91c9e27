import { describe, expect, test } from "vitest";
import { bitsOfDigits, digitsOfBits, hexOfWords } from "../../../../src/core/bytes/hex-words.ts";

/** The codes of four characters, side by side. */
const codes = (text: string) => new DataView(new TextEncoder().encode(text).buffer).getInt32(0, true);

describe("hex-words", () => {
  test("digitsOfBits, bitsOfDigits: each is the other's way back, for all 16 bits", () => {
    for (let bits = 0; bits < 65536; bits++) {
      const text = [bits & 0xff, bits >> 8].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      if (digitsOfBits(bits) !== codes(text) || bitsOfDigits(codes(text)) !== bits) expect.fail(text);
    }
  });

  test("bitsOfDigits: -1 when one of the four is no lower-case digit, in any place", () => {
    for (let code = 0; code < 256; code++) {
      const isDigit = /^[0-9a-f]$/.test(String.fromCharCode(code));
      for (const shift of [0, 8, 16, 24]) {
        const digits = (codes("0000") & ~(0xff << shift)) | (code << shift);
        if (bitsOfDigits(digits) >= 0 !== isDigit) expect.fail(`${code} << ${shift}`);
      }
    }
  });

  test("hexOfWords: the bytes are in the words lowest first", () => {
    expect(hexOfWords(new Uint32Array([0x67452301, 0xefcdab89]))).toBe("0123456789abcdef");
  });
});
