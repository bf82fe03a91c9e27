import { describe, expect, test } from "vitest";
import { checkImagePlatform, pairLayers, parseImageConfig } from "../../../../src/core/oci/image-config.ts";
import { parsePlatform } from "../../../../src/core/oci/platform.ts";

const a = `sha256:${"a".repeat(64)}`;
const b = `sha512:${"b".repeat(128)}`;
const rootfs = { type: "layers", diff_ids: [a, b] };
const parse = (value: unknown) => parseImageConfig(new TextEncoder().encode(JSON.stringify(value)), "config c");

describe("parseImageConfig", () => {
  test("reads platform, diff ids, labels and time", () => {
    const config = { Labels: { "org.opencontainers.image.version": "7" }, Env: ["A=b"] };
    const value = {
      created: "2024-01-02T03:04:05Z",
      os: "linux",
      architecture: "arm64",
      variant: "v8",
      config,
      rootfs,
    };
    expect(parse(value)).toEqual({
      platform: { os: "linux", architecture: "arm64", variant: undefined },
      diffIds: [a, b],
      labels: new Map([["org.opencontainers.image.version", "7"]]),
      created: "2024-01-02T03:04:05Z",
    });
  });

  test("a label may be as long as the document, and null counts as empty", () => {
    const long = "x".repeat(65537);
    expect(parse({ rootfs, config: { Labels: { a: long, b: null } } }).labels).toEqual(
      new Map([
        ["a", long],
        ["b", ""],
      ]),
    );
  });

  test.each([
    ["nothing else", { rootfs }],
    [
      "null and empty texts, as Go programs write them",
      { rootfs, os: "", architecture: "", config: null, created: "" },
    ],
    ["null labels", { rootfs, config: { Labels: null } }],
  ])("is content with %s", (_, value) => {
    expect(parse(value)).toEqual({
      ...{ platform: { os: "", architecture: "", variant: undefined }, diffIds: [a, b] },
      ...{ labels: new Map(), created: undefined },
    });
  });

  test.each([
    ["no rootfs", {}, 'it has no "rootfs"'],
    ["another type of rootfs", { rootfs: { ...rootfs, type: "tree" } }, 'rootfs.type is not "layers"'],
    ["no type of rootfs", { rootfs: { diff_ids: [] } }, 'rootfs has no "type"'],
    ["no diff ids", { rootfs: { type: "layers" } }, 'rootfs has no "diff_ids"'],
    [
      "a diff id that is none",
      { rootfs: { type: "layers", diff_ids: ["a"] } },
      'rootfs.diff_ids[0] "a" is not a digest',
    ],
    ["a label that is no text", { rootfs, config: { Labels: { x: {} } } }, "config.Labels.x is not text"],
  ])("refuses %s", (_, value, state) => {
    expect(() => parse(value)).toThrow(state);
  });
});

describe("pairLayers", () => {
  test("pairs each layer with its diff id; empty steps of the history count on neither side", () => {
    const history = [{}, { empty_layer: true }, {}, { empty_layer: true }];
    expect(pairLayers([{ n: 1 }, { n: 2 }], parse({ rootfs, history }), "image i")).toEqual([
      { n: 1, diffId: a },
      { n: 2, diffId: b },
    ]);
  });

  test.each([1, 3])("refuses %i layers for two diff ids", (count) => {
    expect(() => pairLayers(Array(count).fill({}), parse({ rootfs }), "image i")).toThrow(
      `Cannot use image i: the manifest has ${count} layers, but the config 2 diff ids`,
    );
  });
});

describe("checkImagePlatform", () => {
  const check = (fields: object) =>
    checkImagePlatform(parse({ rootfs, ...fields }), parsePlatform("linux/amd64"), "image i");

  test.each([
    [{ os: "linux", architecture: "amd64", variant: "v4" }],
    [{ architecture: "amd64" }],
    [{ os: "linux", architecture: "x86_64" }],
    [{ os: "linux" }],
    [{}],
  ])("accepts %j for linux/amd64", (fields) => {
    expect(() => check(fields)).not.toThrow();
  });

  test.each([
    [{ os: "linux", architecture: "arm64" }, "linux/arm64"],
    [{ os: "linux", architecture: "aarch64" }, "linux/arm64"],
    [{ os: "windows", architecture: "amd64" }, "windows/amd64"],
  ])("refuses %j for linux/amd64", (fields, named) => {
    expect(() => check(fields)).toThrow(`Cannot use image i: it is for ${named}, not for linux/amd64`);
  });
});
