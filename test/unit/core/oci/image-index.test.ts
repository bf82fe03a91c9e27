import { describe, expect, test } from "vitest";
import { parseIndex, parseOfferedImages } from "../../../../src/core/oci/image-index.ts";
import { parseDocument } from "../../../../src/core/oci/json.ts";

const mediaType = "application/vnd.oci.image.manifest.v1+json";
const platform = { os: "linux", architecture: "arm64" };
const good = { mediaType, digest: `sha256:${"a".repeat(64)}`, size: 1, platform };
const place = (...manifests: readonly unknown[]) =>
  parseDocument(new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, manifests })), "index i");

describe("parseOfferedImages", () => {
  test.each([
    ["a digest by another algorithm", { digest: `sha384:${"b".repeat(96)}` }, "is not a digest"],
    ["no type", { mediaType: undefined }, 'manifests[1] has no "mediaType"'],
    ["no size", { size: -1 }, "manifests[1].size is not a size"],
  ])("an entry with %s is told apart, with its platform", (_, change, message) => {
    const { entries, unusable } = parseOfferedImages(place(good, { ...good, ...change }, good));
    expect(entries.map(({ digest }) => digest)).toEqual([good.digest, good.digest]);
    expect(unusable).toMatchObject([{ platform, reason: { code: "bad-format" } }]);
    expect(unusable[0]?.reason.message).toContain(message);
    expect(() => parseIndex(place(good, { ...good, ...change }))).toThrow(message);
  });

  test("a platform that cannot be read, or none, is none", () => {
    const { entries, unusable } = parseOfferedImages(
      place({ ...good, platform: 7 }, { ...good, size: -1, platform: null }, 7),
    );
    expect(entries).toEqual([]);
    expect(unusable.map((each) => each.platform)).toEqual([undefined, undefined, undefined]);
  });

  test("what is no list, or too long a one, is refused", () => {
    expect(() => parseOfferedImages(parseDocument(new TextEncoder().encode("{}"), "d"))).toThrow('has no "manifests"');
    expect(() => parseOfferedImages(place(...Array(1001).fill(good)))).toThrow("has more than 1000 members");
  });
});
