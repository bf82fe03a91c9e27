import { describe, expect, test } from "vitest";
import { parseLayerDigest } from "../../../../src/core/digest/oci-digest.ts";
import type { LayerDescriptor } from "../../../../src/core/oci/manifest.ts";
import { findChunkedTables } from "../../../../src/core/oci/zstd-chunked-tables.ts";

const hex = "ab".repeat(32);
const key = (name: string) => `io.github.containers.zstd-chunked.${name}`;
const annotations = {
  [key("manifest-checksum")]: `sha256:${hex}`,
  [key("manifest-position")]: "1000:200:900:1",
  [key("tarsplit-position")]: "1208:300:4000",
};

function layer(changes: Record<string, string | undefined> = {}, more: Partial<LayerDescriptor> = {}): LayerDescriptor {
  const all = Object.entries({ ...annotations, ...changes });
  return {
    mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
    compression: "zstd",
    digest: parseLayerDigest(`sha256:${hex}`),
    sizeBytes: 1208 + 300 + 72,
    annotations: new Map(all.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))),
    ...more,
  };
}

test("findChunkedTables: says where both tables are, and the digest of the first", () => {
  expect(findChunkedTables(layer())).toEqual({
    toc: { offsetBytes: 1000, lengthBytes: 200, unpackedBytes: 900 },
    tarSplit: { offsetBytes: 1208, lengthBytes: 300, unpackedBytes: 4000 },
    tocDigest: hex,
  });
});

describe("findChunkedTables: finds none", () => {
  test.each([
    ["without a digest", { [key("manifest-checksum")]: undefined }],
    ["with a digest of another algorithm", { [key("manifest-checksum")]: `sha512:${hex}` }],
    ["with a digest that is too short", { [key("manifest-checksum")]: "sha256:ab" }],
    ["without a place", { [key("manifest-position")]: undefined }],
    ["without a tar-split", { [key("tarsplit-position")]: undefined }],
    ["with another type of table", { [key("manifest-position")]: "1000:200:900:2" }],
    ["with a sign in a place", { [key("manifest-position")]: "+1000:200:900:1" }],
    ["with something behind a place", { [key("manifest-position")]: "1000:200:900:1 " }],
    ["with a number beyond all sizes", { [key("tarsplit-position")]: "1208:300:99999999999999999999" }],
    ["with a table at the start of the blob", { [key("manifest-position")]: "7:1193:900:1" }],
    ["with a gap between the tables", { [key("tarsplit-position")]: "1209:299:4000" }],
    ["with a table that unpacks to more than its limit", { [key("manifest-position")]: `1000:200:${2 ** 26}:1` }],
    ["with a tar-split that unpacks to more than its limit", { [key("tarsplit-position")]: `1208:300:${2 ** 28}` }],
    [
      "with a table that is larger packed",
      { [key("tarsplit-position")]: "1208:300:1", [key("manifest-position")]: "1000:200:1:1" },
    ],
    ["with two kinds of tables", { "containerd.io/snapshot/stargz/toc.digest": `sha256:${hex}` }],
  ])("%s", (what, changes) => {
    const sizes = what.includes("larger packed") ? { sizeBytes: 1208 + 3000 + 72 } : {};
    const more = what.includes("larger packed") ? { [key("tarsplit-position")]: "1208:3000:1" } : {};
    expect(findChunkedTables(layer({ ...changes, ...more }, sizes))).toBeUndefined();
  });

  test("when the blob does not end behind the footer", () => {
    expect(findChunkedTables(layer({}, { sizeBytes: 1581 }))).toBeUndefined();
  });

  test("in a layer that is not zstd", () => {
    expect(findChunkedTables(layer({}, { compression: "gzip" }))).toBeUndefined();
  });
});
