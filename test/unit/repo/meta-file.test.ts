import { describe, expect, test } from "vitest";
import { featureAgainstWriting, formatRepoMeta, newRepoMeta, parseRepoMeta } from "../../../src/repo/meta-file.ts";

const ours = `{
  "version": 1,
  "algorithm": "fsverity-sha512-12",
  "features": {
    "compatible": [],
    "read-only-compatible": [
      "v1_erofs"
    ],
    "incompatible": []
  },
  "erofs_formats": {
    "default": 1
  }
}
`;

function withFields(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ version: 1, algorithm: "fsverity-sha256-12", ...fields });
}

describe("formatRepoMeta", () => {
  test("formatRepoMeta: a new repo is pretty JSON with the v1_erofs feature", () => {
    expect(formatRepoMeta(newRepoMeta("sha512", 1))).toBe(ours);
  });

  test("formatRepoMeta: layout 2 has no feature, further layouts are listed", () => {
    const meta = { ...newRepoMeta("sha256", 2), erofsFormats: { default: 2, extra: [1] } } as const;
    expect(JSON.parse(formatRepoMeta(meta))).toEqual({
      version: 1,
      algorithm: "fsverity-sha256-12",
      features: { compatible: [], "read-only-compatible": [], incompatible: [] },
      erofs_formats: { default: 2, extra: [1] },
    });
  });
});

describe("parseRepoMeta", () => {
  test("parseRepoMeta: reads back what formatRepoMeta writes", () => {
    expect(parseRepoMeta(ours)).toEqual(newRepoMeta("sha512", 1));
  });

  test("parseRepoMeta: without erofs_formats and features the layout is 2", () => {
    expect(parseRepoMeta(withFields({}))).toEqual(newRepoMeta("sha256", 2));
  });

  test("parseRepoMeta: without erofs_formats the feature v1_erofs means layout 1", () => {
    const features = { "read-only-compatible": ["v1_erofs"] };
    expect(parseRepoMeta(withFields({ features })).erofsFormats).toEqual({ default: 1, extra: [] });
  });

  test("parseRepoMeta: erofs_formats wins over the feature", () => {
    const fields = { features: { "read-only-compatible": ["v1_erofs"] }, erofs_formats: { default: 2, extra: [1] } };
    expect(parseRepoMeta(withFields(fields)).erofsFormats).toEqual({ default: 2, extra: [1] });
  });

  test.each([
    ["not JSON", "{"],
    ["no object", "[]"],
    ["no version", '{"algorithm":"fsverity-sha512-12"}'],
    ["a broken version", withFields({ version: 0.5 })],
    ["version 0", withFields({ version: 0 })],
    ["another algorithm", withFields({ algorithm: "fsverity-sha512-16" })],
    ["no algorithm", '{"version":1}'],
    ["features that are a list", withFields({ features: [] })],
    ["a feature list that is none", withFields({ features: { incompatible: "x" } })],
    ["a feature that is no name", withFields({ features: { compatible: [1] } })],
    ["too many features", withFields({ features: { compatible: Array(65).fill("x") } })],
    ["formats that are none", withFields({ erofs_formats: 1 })],
    ["an unknown layout", withFields({ erofs_formats: { default: 3 } })],
    ["further layouts that are no list", withFields({ erofs_formats: { default: 1, extra: 2 } })],
    ["an unknown further layout", withFields({ erofs_formats: { default: 1, extra: ["1"] } })],
  ])("parseRepoMeta: refuses %s as bad-format", (_, text) => {
    expect(() => parseRepoMeta(text)).toThrow(expect.objectContaining({ code: "bad-format" }));
  });

  test("parseRepoMeta: a newer version asks for a newer osdeploy", () => {
    expect(() => parseRepoMeta(withFields({ version: 2 }))).toThrow(
      expect.objectContaining({
        code: "unsupported",
        message: "Cannot use meta.json: it has version 2; use a newer osdeploy",
      }),
    );
  });

  test("parseRepoMeta: an incompatible feature asks for a newer osdeploy", () => {
    expect(() => parseRepoMeta(withFields({ features: { incompatible: ["lz4"] } }))).toThrow(
      expect.objectContaining({ code: "unsupported", facts: { feature: "lz4" } }),
    );
  });

  test("featureAgainstWriting: names the unknown feature that only allows reading", () => {
    const features = { "read-only-compatible": ["v1_erofs", "new"], compatible: ["any"] };
    expect(featureAgainstWriting(parseRepoMeta(withFields({ features })))).toBe("new");
    expect(featureAgainstWriting(newRepoMeta("sha512", 1))).toBeUndefined();
  });
});
