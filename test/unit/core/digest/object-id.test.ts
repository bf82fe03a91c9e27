import { expect, test } from "vitest";
import { digestLength, parseObjectId } from "../../../../src/core/digest/object-id.ts";

test("parseObjectId: takes lower-case hex of the algorithm's length", () => {
  expect(parseObjectId("ab".repeat(32), "sha256")).toBe("ab".repeat(32));
  expect(parseObjectId("0f".repeat(64), "sha512")).toBe("0f".repeat(64));
});

test("parseObjectId: refuses other lengths, upper case and what is no hex", () => {
  for (const text of ["", "ab".repeat(64), "AB".repeat(32), `${"ab".repeat(31)}g0`, "../".repeat(21)]) {
    expect(() => parseObjectId(text, "sha256")).toThrow(/as a sha256 object id: it is not 64 lower-case hex digits/);
  }
});

test("digestLength: is 32 bytes for sha256 and 64 for sha512", () => {
  expect([digestLength("sha256"), digestLength("sha512")]).toEqual([32, 64]);
});
