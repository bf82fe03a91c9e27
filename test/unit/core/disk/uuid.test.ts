import { expect, test } from "vitest";
import { toHex } from "../../../../src/core/bytes/hex.ts";
import { guidBytes, parseUuid, uuidOfSeed } from "../../../../src/core/disk/uuid.ts";
import { OsdeployError } from "../../../../src/core/errors.ts";

test("parseUuid: takes lower case only", () => {
  expect(parseUuid("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")).toBe("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
  for (const text of [
    "",
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "c12a7328f81f11d2ba4b00a0c93ec93b",
    "x".repeat(999),
  ]) {
    expect(() => parseUuid(text)).toThrow(OsdeployError);
  }
});

test("guidBytes: swaps the first three groups, as the specification's own example of the ESP type shows", () => {
  const bytes = guidBytes(parseUuid("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"));
  expect(toHex(bytes)).toBe("28732ac11ff8d211ba4b00a0c93ec93b");
});

test("uuidOfSeed: gives each seed a UUID of version 8, always the same", () => {
  const uuids = Array.from({ length: 64 }, (_, index) => uuidOfSeed(`seed ${index}`));
  expect(new Set(uuids).size).toBe(64);
  for (const uuid of uuids) expect(parseUuid(uuid)).toMatch(/^.{14}8.{4}[89ab]/);
  expect(uuidOfSeed("seed 1")).toBe(uuids[1]);
  // sha256("") with version and variant put in: whoever changes this gives every disk that is made again other UUIDs.
  expect(uuidOfSeed("")).toBe("e3b0c442-98fc-8c14-9afb-f4c8996fb924");
});
