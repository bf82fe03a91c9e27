import { describe, expect, test } from "vitest";
import { OsdeployError } from "../../../../src/core/errors.ts";
import { checkDocumentType } from "../../../../src/core/oci/document-type.ts";
import { parseDocument } from "../../../../src/core/oci/json.ts";
import { parseManifest } from "../../../../src/core/oci/manifest.ts";

const hex = "0123456789abcdef".repeat(4);
const ociType = "application/vnd.oci.image.manifest.v1+json";
const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: `sha256:${hex}`, size: 20 };
const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest: `sha256:${hex}`, size: 10 };
const plain = { schemaVersion: 2, mediaType: ociType, config, layers: [layer] };

const place = (value: unknown) => parseDocument(new TextEncoder().encode(JSON.stringify(value)), "manifest m");
const parse = (value: unknown) => parseManifest(place(value), ociType);

function codeOf(value: unknown): string {
  try {
    parse(value);
  } catch (error) {
    if (error instanceof OsdeployError) return error.code;
    throw error;
  }
  return "accepted";
}

describe("parseManifest", () => {
  test("reads config, layers and annotations", () => {
    const layers = [layer, { ...layer, mediaType: "application/vnd.oci.image.layer.v1.tar", size: 0 }];
    expect(parse({ ...plain, layers, annotations: { a: "b" }, subject: {}, unknown: 1 })).toEqual({
      mediaType: ociType,
      config: { mediaType: config.mediaType, digest: config.digest, sizeBytes: 10, annotations: new Map() },
      layers: [
        {
          mediaType: layer.mediaType,
          digest: layer.digest,
          sizeBytes: 20,
          annotations: new Map(),
          compression: "gzip",
        },
        {
          ...{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest: layer.digest, sizeBytes: 0 },
          ...{ annotations: new Map(), compression: "none" },
        },
      ],
      annotations: new Map([["a", "b"]]),
    });
  });

  test.each([
    ["application/vnd.oci.image.layer.v1.tar", "none"],
    ["application/vnd.oci.image.layer.v1.tar+zstd", "zstd"],
    ["application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "gzip"],
    ["application/vnd.docker.image.rootfs.diff.tar", "none"],
    ["application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip"],
    ["application/vnd.docker.image.rootfs.diff.tar.zstd", "zstd"],
  ])("a layer of type %s is %s", (mediaType, compression) => {
    expect(parse({ ...plain, layers: [{ ...layer, mediaType }] }).layers[0]?.compression).toBe(compression);
  });

  test.each([
    ["application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "it is encrypted"],
    ["application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "it is a foreign layer"],
    ["text/plain", 'its media type "text/plain" is unknown'],
  ])("a layer of type %s is refused: %s", (mediaType, state) => {
    const value = { ...plain, layers: [{ ...layer, mediaType }] };
    expect(codeOf(value)).toBe("unsupported");
    expect(() => parse(value)).toThrow(`Cannot unpack layer sha256:${hex} of manifest m: ${state}`);
  });

  test("an artifact is refused", () => {
    const value = { ...plain, config: { ...config, mediaType: "application/vnd.oci.empty.v1+json" } };
    expect(codeOf(value)).toBe("unsupported");
    expect(() => parse(value)).toThrow('it is an artifact with a config of type "application/vnd.oci.empty.v1+json"');
  });

  test.each([
    ["no layers", { ...plain, layers: [] }, "it has no layers"],
    ["layers that are no array", { ...plain, layers: {} }, "layers is not an array"],
    ["layers that are null", { ...plain, layers: null }, 'it has no "layers"'],
    ["a layer that is no object", { ...plain, layers: [7] }, "layers[0] is not an object"],
    ["a layer that is null", { ...plain, layers: [null] }, "layers[0] is not an object"],
    ["no size", { ...plain, layers: [{ ...layer, size: undefined }] }, 'layers[0] has no "size"'],
    ["a negative size", { ...plain, layers: [{ ...layer, size: -1 }] }, "layers[0].size is not a size"],
    ["half a byte", { ...plain, layers: [{ ...layer, size: 0.5 }] }, "layers[0].size is not a size"],
    ["a size beyond 2^53", { ...plain, layers: [{ ...layer, size: 2 ** 53 }] }, "layers[0].size is not a size"],
    ["a size in quotes", { ...plain, layers: [{ ...layer, size: "20" }] }, "layers[0].size is not a size"],
    [
      "an upper-case digest",
      { ...plain, layers: [{ ...layer, digest: `sha256:${hex.toUpperCase()}` }] },
      "is not a digest",
    ],
    ["a short digest", { ...plain, layers: [{ ...layer, digest: "sha256:12" }] }, "is not a digest"],
    ["an md5 digest", { ...plain, layers: [{ ...layer, digest: `md5:${hex.slice(32)}` }] }, "is not a digest"],
    [
      "a path for a digest",
      { ...plain, config: { ...config, digest: "../../etc/passwd" } },
      'config.digest "../../etc/passwd"',
    ],
    ["a digest that is no text", { ...plain, config: { ...config, digest: 1 } }, "config.digest is not text"],
    ["annotations that are no text", { ...plain, annotations: { a: 1 } }, "annotations.a is not text"],
    ["annotations that are an array", { ...plain, annotations: [] }, "annotations is not an object"],
  ])("%s: refused", (_, value, state) => {
    expect(codeOf(value)).toBe("bad-format");
    expect(() => parse(value)).toThrow(state);
    expect(() => parse(value)).toThrow(/^Cannot read manifest m: /);
  });

  test("more than 1000 layers: refused, 1000 not", () => {
    expect(parse({ ...plain, layers: Array(1000).fill(layer) }).layers).toHaveLength(1000);
    expect(codeOf({ ...plain, layers: Array(1001).fill(layer) })).toBe("limit-exceeded");
  });

  test("a text of more than 65536 characters: refused", () => {
    expect(codeOf({ ...plain, config: { ...plain.config, mediaType: "x".repeat(65537) } })).toBe("limit-exceeded");
  });

  test("an annotation may be as long as its document, and null counts as empty", () => {
    const long = "x".repeat(65537);
    expect(parse({ ...plain, annotations: { a: long, b: null } }).annotations).toEqual(
      new Map([
        ["a", long],
        ["b", ""],
      ]),
    );
  });
});

describe("checkDocumentType", () => {
  const check = (value: unknown, announced?: string) => checkDocumentType(place(value), announced);
  const { mediaType: _, ...untyped } = plain;
  const index = { schemaVersion: 2, manifests: [] };
  const indexType = "application/vnd.oci.image.index.v1+json";
  const dockerType = "application/vnd.docker.distribution.manifest.v2+json";

  test.each([
    ["its own type", plain, undefined, { kind: "manifest", mediaType: ociType }],
    ["the announced type", untyped, dockerType, { kind: "manifest", mediaType: dockerType }],
    [
      "its own type, when the registry only says that it is JSON",
      plain,
      "application/json",
      { kind: "manifest", mediaType: ociType },
    ],
    ["its form", untyped, undefined, { kind: "manifest", mediaType: ociType }],
    ["the form of an index", index, "text/plain", { kind: "index", mediaType: indexType }],
    ["the list type of Docker", index, "application/vnd.docker.distribution.manifest.list.v2+json", { kind: "index" }],
  ])("a document has %s", (_, value, announced, expected) => {
    expect(check(value, announced)).toMatchObject(expected);
  });

  test.each([
    [
      "schema version 1",
      { ...plain, schemaVersion: 1 },
      undefined,
      "schemaVersion is 1: this old form is not supported",
    ],
    ["schema version 3", { ...plain, schemaVersion: 3 }, undefined, "schemaVersion is not 2"],
    ["no schema version", { config, layers: [] }, undefined, 'it has no "schemaVersion"'],
    ["two forms at once", { ...plain, manifests: [] }, undefined, "the members of a manifest and of an index"],
    ["an index announced as a manifest", index, ociType, "but has the form of an index"],
    [
      "a manifest that calls itself an index",
      { ...untyped, mediaType: indexType },
      undefined,
      "but has the form of a manifest",
    ],
    ["an own type that is none", { ...untyped, mediaType: "x" }, undefined, 'says it is "x"'],
    ["two types", plain, dockerType, "but was announced as"],
    ["no object", [], undefined, "is not an object"],
  ])("%s: refused", (_, value, announced, state) => {
    expect(() => check(value, announced)).toThrow(state);
  });
});
