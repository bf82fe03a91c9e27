import { expect, test } from "vitest";
import type { ByteString } from "../../../../src/core/bytes/byte-string.ts";
import { externalContent, isObjectPath, ObjectContent } from "../../../../src/core/tree/object-content.ts";

const digest = "0123456789abcdef".repeat(4);
const path = `01/${digest.slice(2)}`;

test("ObjectContent: lies where composefs keeps the object with its digest", () => {
  const { kind, sizeBytes, digest: named, backingPath } = new ObjectContent(digest, 70n);
  expect({ kind, sizeBytes, digest: named, backingPath }).toEqual({
    kind: "external",
    sizeBytes: 70n,
    digest,
    backingPath: path,
  });
});

test.each([
  ["that of the digest", path, true],
  ["one without the slash", digest, false],
  ["one with something else instead of the slash", path.replace("/", "-"), false],
  ["one in another directory", path.replace("01", "00"), false],
  ["one with another last digit", `${path.slice(0, -1)}0`, false],
  ["a longer one", `${path}0`, false],
  ["the empty one", "", false],
])("isObjectPath: %s", (_, candidate, expected) => {
  expect(isObjectPath(candidate as ByteString, digest)).toBe(expected);
});

test.each([
  ["in its object", path, digest, true],
  ["elsewhere", "somewhere/else", digest, false],
  ["nowhere", undefined, digest, false],
  ["somewhere, and not measured", path, undefined, false],
])("externalContent: says what it was told of content that lies %s", (_, place, measured, isObject) => {
  const backingPath = place as ByteString | undefined;
  const content = externalContent(70n, { backingPath, digest: measured });
  expect([content.kind, content.sizeBytes, content.backingPath, content.digest]).toEqual([
    "external",
    70n,
    place,
    measured,
  ]);
  expect(content instanceof ObjectContent).toBe(isObject);
});
