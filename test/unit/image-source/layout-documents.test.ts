import { expect, test } from "vitest";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { parseIndex } from "../../../src/core/oci/image-index.ts";
import { parseDocument } from "../../../src/core/oci/json.ts";
import { addToIndex } from "../../../src/image-source/layout-documents.ts";

const digestOf = (number: number) => parseManifestDigest(`sha256:${String(number).padStart(64, "0")}`);
const image = {
  manifest: { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: digestOf(0), bytes: new Uint8Array(1) },
  platform: { os: "linux", architecture: "amd64", variant: undefined },
};
const indexOf = (count: number, more: object = {}) => {
  const manifests = Array.from({ length: count }, (_, at) => ({
    ...{ mediaType: image.manifest.mediaType, digest: digestOf(at + 1), size: 1 },
    annotations: { "org.opencontainers.image.ref.name": `v${at + 1}` },
  }));
  return new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, ...more, manifests }));
};
const tooMuch = expect.objectContaining({ code: "limit-exceeded" });

test("addToIndex: adds the thousandth image, and none that would keep all from being read", () => {
  const namesAfter = (count: number, tag: string) =>
    parseIndex(parseDocument(addToIndex(indexOf(count), image, tag), "index.json")).entries.length;
  expect(namesAfter(999, "new")).toBe(1000);
  expect(namesAfter(1000, "v1000")).toBe(1000);
  expect(() => addToIndex(indexOf(1000), image, "new")).toThrow(tooMuch);
  expect(() => addToIndex(indexOf(1001), image, "v1")).toThrow(tooMuch);
});

test("addToIndex: writes no index that is too large to be read", () => {
  const added = addToIndex(indexOf(0, { x: "" }), image, "v1").length;
  const indexOfBytes = (bytes: number) => indexOf(0, { x: "x".repeat(bytes - added) });
  expect(addToIndex(indexOfBytes(4 * 1024 * 1024), image, "v1")).toHaveLength(4 * 1024 * 1024);
  expect(() => addToIndex(indexOfBytes(4 * 1024 * 1024 + 1), image, "v1")).toThrow(tooMuch);
});

test("addToIndex: what has no name takes the place of the same alone, and all others stay", () => {
  const parsed = (bytes: Uint8Array) =>
    parseIndex(parseDocument(bytes, "index.json")).entries.map(({ digest, annotations }) => [digest, annotations.size]);
  const other = { ...image, manifest: { ...image.manifest, digest: digestOf(9) } };
  const both = addToIndex(addToIndex(indexOf(1), other, undefined), image, undefined);
  const expected = [
    [digestOf(1), 1],
    [digestOf(9), 0],
    [digestOf(0), 0],
  ];
  expect(parsed(both)).toEqual(expected);
  expect(parsed(addToIndex(both, image, undefined))).toEqual(expected);
  expect(parsed(addToIndex(both, image, "v0"))).toEqual([...expected, [digestOf(0), 1]]);
});

test("addToIndex: says which machines an image is for, and of an index of several nothing", () => {
  const platformOf = (platform: typeof image.platform | { os: string; architecture: string; variant: string }) =>
    JSON.parse(Buffer.from(addToIndex(undefined, { ...image, platform }, "v1")).toString()).manifests[0].platform;
  expect(platformOf(image.platform)).toEqual({ os: "linux", architecture: "amd64" });
  const arm = { os: "linux", architecture: "arm", variant: "v7" };
  expect(platformOf(arm)).toEqual(arm);
  expect(platformOf({ os: "", architecture: "", variant: undefined })).toBeUndefined();
});
