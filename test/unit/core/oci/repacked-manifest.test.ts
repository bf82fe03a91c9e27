import { expect, test } from "vitest";
import { parseLayerDigest } from "../../../../src/core/digest/oci-digest.ts";
import { type RepackedLayer, repackManifest } from "../../../../src/core/oci/repacked-manifest.ts";
import { json } from "../../../builders/oci-image.ts";
import { sha256 } from "../../../builders/oci-layer.ts";

const docker = "application/vnd.docker";
const oci = "application/vnd.oci.image";
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const how = { document: "manifest m", isOfBytes: (key: string) => key.startsWith("bytes.") };

const repacked: RepackedLayer = {
  ...{ digest: parseLayerDigest(digest("a")), sizeBytes: 7, compression: "zstd" },
  annotations: { "bytes.position": "new" },
};

const before = {
  annotations: { b: "2", a: "1" },
  layers: [
    { mediaType: `${docker}.image.rootfs.diff.tar.gzip`, digest: digest("1"), size: 1 },
    {
      mediaType: `${docker}.image.rootfs.diff.tar.gzip`,
      digest: digest("2"),
      size: 2,
      annotations: { "bytes.x": "old", kept: "k" },
    },
    { mediaType: `${oci}.layer.v1.tar`, digest: digest("3"), size: 3, annotations: { "bytes.x": "old" } },
    { mediaType: `${oci}.layer.nondistributable.v1.tar`, digest: digest("4"), size: 4 },
  ],
  config: { digest: digest("c"), size: 9, mediaType: `${docker}.container.image.v1+json` },
  schemaVersion: 2,
  mediaType: `${docker}.distribution.manifest.v2+json`,
  subject: { mediaType: "s" },
};

test("repackManifest: an OCI manifest in a fixed order, with everything that is not about the old bytes", () => {
  const plain = { ...repacked, compression: "none", annotations: {} } as const;
  const made = repackManifest(json(before), [undefined, repacked, plain, undefined], how);
  expect(Buffer.from(made.bytes).toString()).toBe(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${oci}.manifest.v1+json`,
      config: { digest: digest("c"), size: 9, mediaType: `${oci}.config.v1+json` },
      layers: [
        { mediaType: `${oci}.layer.v1.tar+gzip`, digest: digest("1"), size: 1 },
        {
          ...{ mediaType: `${oci}.layer.v1.tar+zstd`, digest: digest("a"), size: 7 },
          annotations: { kept: "k", "bytes.position": "new" },
        },
        { mediaType: `${oci}.layer.v1.tar`, digest: digest("a"), size: 7 },
        { mediaType: `${oci}.layer.nondistributable.v1.tar`, digest: digest("4"), size: 4 },
      ],
      subject: { mediaType: "s" },
      annotations: { b: "2", a: "1" },
    }),
  );
  expect(made).toMatchObject({ mediaType: `${oci}.manifest.v1+json`, digest: sha256(made.bytes) });
});
