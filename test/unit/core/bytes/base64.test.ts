import { expect, test } from "vitest";
import { decodeBase64 } from "../../../../src/core/bytes/base64.ts";

test("decodeBase64: reads whole groups of the standard alphabet, and nothing else", () => {
  expect(decodeBase64("")).toEqual(new Uint8Array(0));
  expect(decodeBase64("AP+/")).toEqual(Uint8Array.of(0, 255, 191));
  expect(decodeBase64("AA==")).toEqual(Uint8Array.of(0));
  expect(decodeBase64("AP\r\n+/\nAA=\n=\n")).toEqual(Uint8Array.of(0, 255, 191, 0));
  for (const wrong of ["A", "AA", "AA=", "AP-_", "AA==AA==", "A A=", "AAA\n", "AA\t=="])
    expect(decodeBase64(wrong)).toBeUndefined();
});
