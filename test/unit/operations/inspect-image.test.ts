import { expect, test } from "vitest";
import { inspectImage } from "../../../src/operations/inspect-image.ts";
import { layoutReference, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { storeOs } from "../../builders/stored-os.ts";

const { linux, images } = await storeOs();

test("inspectImage: tells digests, layers and both documents as the registry has them", async () => {
  const found = await inspectImage(systemOn(linux), { repo: repoOfSysroot, image: layoutReference("v1") });
  expect(found).toEqual({
    manifestDigest: images.v1.manifestDigest,
    configDigest: images.v1.configDigest,
    rawImage: expect.stringMatching(/^[0-9a-f]{128}$/),
    bootImage: expect.stringMatching(/^[0-9a-f]{128}$/),
    layers: images.v1.layers.map(({ digest, diffId, mediaType, blob }) => ({
      digest,
      diffId,
      mediaType,
      sizeBytes: blob.length,
    })),
    manifest: JSON.parse(Buffer.from(images.v1.manifest).toString()),
    config: JSON.parse(Buffer.from(images.v1.config).toString()),
  });
});

test("inspectImage: null for a root image that was not made", async () => {
  const found = await inspectImage(systemOn(linux), { repo: repoOfSysroot, image: layoutReference("data") });
  expect(found).toMatchObject({ bootImage: null, rawImage: expect.any(String) });
  expect(linux.openPaths).toEqual([]);
});
