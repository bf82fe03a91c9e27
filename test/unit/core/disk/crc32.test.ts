import { expect, test } from "vitest";
import { crc32 } from "../../../../src/core/disk/crc32.ts";

test("crc32: gives the check values of the polynomial", () => {
  expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
  expect(crc32(new Uint8Array(0))).toBe(0);
  expect(crc32(new Uint8Array(32))).toBe(0x190a55ad);
});
