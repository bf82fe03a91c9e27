import { describe, expect, test } from "vitest";
import { chooseInArchive, parseArchiveManifest, writeManifest } from "../../../../src/core/oci/docker-archive.ts";
import { parseImageReference } from "../../../../src/core/oci/reference.ts";

const parse = (value: unknown) =>
  parseArchiveManifest(new TextEncoder().encode(JSON.stringify(value)), "manifest.json");
const first = { Config: "a.json", RepoTags: ["os:v1", "quay.io/x/os:v2"], Layers: ["1.tar", "2.tar"] };
const second = { Config: "b.json", RepoTags: null, Layers: ["1.tar"] };

describe("parseArchiveManifest", () => {
  test("reads names in full, and images without names", () => {
    expect(parse([first, second])).toEqual([
      {
        configPath: "a.json",
        names: ["docker.io/library/os:v1", "quay.io/x/os:v2"],
        layerPaths: ["1.tar", "2.tar"],
      },
      { configPath: "b.json", names: [], layerPaths: ["1.tar"] },
    ]);
  });

  test("leaves out what is no name", () => {
    const RepoTags = ["<none>:<none>", "os:v1", "", "Team/OS:v1"];
    expect(parse([{ ...first, RepoTags }]).map(({ names }) => names)).toEqual([["docker.io/library/os:v1"]]);
  });

  test.each([
    ["no array", {}, "it is not an array"],
    ["no config", [{ ...first, Config: null }], '[0] has no "Config"'],
    ["no layers", [{ ...first, Layers: undefined }], '[0] has no "Layers"'],
    ["a name that is no text", [{ ...first, RepoTags: [1] }], "[0].RepoTags[0] is not text"],
  ])("refuses %s", (_, value, state) => {
    expect(() => parse(value)).toThrow(state);
  });
});

test("parseArchiveManifest: refuses more than 1000 images", () => {
  expect(() => parse(Array(1001).fill(second))).toThrow("Cannot read manifest.json: it has more than 1000 members");
});

describe("chooseInArchive", () => {
  const choose = (text: string, ...images: readonly object[]) => {
    const reference = parseImageReference(`docker-archive:f${text}`);
    if (reference.kind !== "docker-archive") throw new Error(text);
    return chooseInArchive(parse(images), reference.choice, "docker-archive:f").configPath;
  };

  test.each([
    ["", [first], "a.json"],
    [":os:v1", [first, second], "a.json"],
    [":quay.io/x/os:v2", [second, first], "a.json"],
    [":@1", [first, second], "b.json"],
  ])("%j is the one", (text, images, configPath) => {
    expect(choose(text, ...images)).toBe(configPath);
  });

  test.each([
    [
      "",
      [first, second],
      "Cannot choose an image in docker-archive:f: write a name or :@POSITION after it; it holds docker.io/library/os:v1, quay.io/x/os:v2",
    ],
    [":os:v9", [first], "Cannot find the image in docker-archive:f; it holds docker.io/library/os:v1"],
    [":@2", [second], "Cannot find the image in docker-archive:f"],
    ["", [], "Cannot find the image in docker-archive:f"],
  ])("%j is refused among these", (text, images, message) => {
    expect(() => choose(text, ...images)).toThrow(message);
  });
});

test("writeManifest: compact, in the order of the specification", () => {
  const blob = { annotations: new Map(), sizeBytes: 3 };
  const config = { ...blob, mediaType: "c", digest: "sha256:1" as never };
  expect(writeManifest(config, [{ ...blob, mediaType: "l", digest: "sha256:2" as never }])).toBe(
    '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",' +
      '"config":{"mediaType":"c","digest":"sha256:1","size":3},"layers":[{"mediaType":"l","digest":"sha256:2","size":3}]}',
  );
});
