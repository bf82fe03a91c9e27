import { expect, test } from "vitest";
import { sha256Hex } from "../../../../src/core/digest/sha256-hex.ts";

test("sha256Hex: is the sha256 of FIPS 180-4's first example", () => {
  const abc = new TextEncoder().encode("abc");
  expect(sha256Hex(abc)).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});
