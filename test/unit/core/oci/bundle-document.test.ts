import { describe, expect, test } from "vitest";
import {
  type DiffId,
  type LayerDigest,
  parseDiffId,
  parseLayerDigest,
} from "../../../../src/core/digest/oci-digest.ts";
import {
  type BundleDocument,
  bundledRangeLimit,
  findBundled,
  formatBundleDocument,
  parseBundleDocument,
  placeRanges,
} from "../../../../src/core/oci/bundle-document.ts";

const layer = (digit: string): LayerDigest => parseLayerDigest(`sha256:${digit.repeat(64)}`);
const diffId = (digit: string): DiffId => parseDiffId(`sha256:${digit.repeat(64)}`);
const ranges = placeRanges([
  { offsetBytes: 10, lengthBytes: 5 },
  { offsetBytes: 20, lengthBytes: 7 },
  { offsetBytes: 27, lengthBytes: 1 },
]);
const document: BundleDocument = {
  absent: new Set([layer("a"), layer("1")]),
  parts: new Map([
    [layer("c"), { blob: { digest: layer("d"), sizeBytes: 13 }, ranges }],
    [layer("b"), { blob: { digest: layer("e"), sizeBytes: 0 }, ranges: [] }],
  ]),
  bridgedBytes: 3,
  countedOn: [diffId("9"), diffId("8")],
};

const asJson = () => JSON.parse(new TextDecoder().decode(formatBundleDocument(document)));
const parse = (value: unknown) => parseBundleDocument(new TextEncoder().encode(JSON.stringify(value)), "b.tar");

describe("formatBundleDocument", () => {
  test("is read back, and is the same bytes in whatever order its members came", () => {
    const read = parseBundleDocument(formatBundleDocument(document), "b.tar");
    expect(read).toEqual({ ...document, countedOn: [diffId("8"), diffId("9")] });
    const turned = { absent: [...document.absent], parts: [...document.parts], countedOn: [...document.countedOn] };
    const other = formatBundleDocument({
      absent: new Set(turned.absent.reverse()),
      parts: new Map(turned.parts.reverse()),
      countedOn: turned.countedOn.reverse(),
      bridgedBytes: 3,
    });
    expect(other).toEqual(formatBundleDocument(document));
  });
});

describe("parseBundleDocument", () => {
  test("refuses another version, which could leave out other things", () => {
    expect(() => parse({ ...asJson(), version: 2 })).toThrow(
      "Cannot use b.tar: its bundle document is of version 2, and this osdeploy reads 1",
    );
  });

  test.each([
    ["overlap", [10, 5, 14, 8], 13, "parts[0].ranges is not in order"],
    ["go back", [20, 5, 10, 8], 13, "parts[0].ranges is not in order"],
    ["are empty", [10, 0, 20, 13], 13, "parts[0].ranges is not in order"],
    ["end beyond every number", [Number.MAX_SAFE_INTEGER, 13], 13, "parts[0].ranges is not in order"],
    ["end in the middle", [10, 5, 20], 5, "parts[0].ranges ends in the middle of a range"],
    ["are longer than their blob", [10, 5, 20, 8], 12, "parts[0].ranges has 13 bytes, and its blob 12"],
    ["are no numbers", [10, -5], 5, "parts[0].ranges[1] is not a size"],
  ])("refuses ranges that %s", (_, numbers, size, message) => {
    const [first] = asJson().parts;
    expect(() => parse({ ...asJson(), parts: [{ ...first, ranges: numbers, size }] })).toThrow(
      `Cannot read b.tar: ${message}`,
    );
  });

  test("refuses more ranges, layers or counted layers than it allows", () => {
    const many = Array.from({ length: bundledRangeLimit / 2 + 1 }, (_, i) => [2 * i, 1]).flat();
    const part = (letter: string) => ({ layer: layer(letter), blob: layer("d"), size: many.length / 2, ranges: many });
    expect(() => parse({ ...asJson(), parts: [part("a"), part("b")] })).toThrow("has more than 65536 ranges");
    const absent = Array.from({ length: 1001 }, () => layer("a"));
    expect(() => parse({ ...asJson(), absent })).toThrow("more than 1000 members");
    const countedOn = Array.from({ length: 16_385 }, () => diffId("a"));
    expect(() => parse({ ...asJson(), countedOn })).toThrow("more than 16384 members");
  });
});

describe("findBundled", () => {
  test.each([
    [10, 5, 0],
    [12, 2, 2],
    [20, 7, 5],
    [26, 1, 11],
    [27, 1, 12],
  ])("%i+%i is at %i", (offsetBytes, lengthBytes, at) => {
    expect(findBundled(ranges, { offsetBytes, lengthBytes })).toBe(at);
  });

  test.each([
    [0, 5],
    [9, 2],
    [14, 2],
    [16, 1],
    [12, 10],
    [26, 2],
    [28, 1],
  ])("%i+%i is not all in one part", (offsetBytes, lengthBytes) => {
    expect(findBundled(ranges, { offsetBytes, lengthBytes })).toBeUndefined();
  });
});
