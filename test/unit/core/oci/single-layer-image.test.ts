import { expect, test } from "vitest";
import { sha256Of } from "../../../../src/core/digest/blob-hasher.ts";
import { parseDiffId } from "../../../../src/core/digest/oci-digest.ts";
import { parseImageConfig } from "../../../../src/core/oci/image-config.ts";
import { parseDocument } from "../../../../src/core/oci/json.ts";
import { parseManifest } from "../../../../src/core/oci/manifest.ts";
import { ociManifestType } from "../../../../src/core/oci/media-type.ts";
import { singleLayerImage } from "../../../../src/core/oci/single-layer-image.ts";

const diffId = parseDiffId(`sha256:${"ab".repeat(32)}`);
const platform = { os: "linux", architecture: "arm64", variant: undefined };

test("singleLayerImage: the documents say what they must, name each other, and are read back", () => {
  const { config, manifest } = singleLayerImage({ diffId, sizeBytes: 4096 }, platform);
  expect(parseImageConfig(config.bytes, "config")).toEqual({
    platform,
    diffIds: [diffId],
    labels: new Map(),
    created: undefined,
  });
  expect(parseManifest(parseDocument(manifest.bytes, "manifest"), ociManifestType)).toMatchObject({
    config: { digest: config.digest, sizeBytes: config.bytes.length },
    layers: [{ digest: diffId, sizeBytes: 4096, compression: "none" }],
  });
  expect(config.digest).toBe(sha256Of(config.bytes));
  expect(manifest.digest).toBe(sha256Of(manifest.bytes));
});

test("singleLayerImage: the same layer for the same platform is the same image, for another one another", () => {
  const digestOf = (variant: string | undefined) =>
    singleLayerImage({ diffId, sizeBytes: 4096 }, { ...platform, variant }).manifest.digest;
  expect(digestOf(undefined)).toBe(digestOf(undefined));
  expect(digestOf("v9")).not.toBe(digestOf(undefined));
  const { config } = singleLayerImage({ diffId, sizeBytes: 1 }, { ...platform, variant: "v9" });
  expect(parseImageConfig(config.bytes, "config").platform.variant).toBe("v9");
});
