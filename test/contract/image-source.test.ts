import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BlobHasher } from "../../src/core/digest/blob-hasher.ts";
import { parseManifestDigest } from "../../src/core/digest/oci-digest.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { ImageSource } from "../../src/image-source/image-source.ts";
import { openImageSource } from "../../src/image-source/open-image-source.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { type BuiltImage, type BuiltIndex, buildImage, buildIndex } from "../builders/oci-image.ts";
import { writeDockerArchive, writeLayout, writeOciArchive } from "../builders/oci-layout.ts";
import { FakeRegistry, type FakeRegistryOptions } from "../fakes/fake-registry.ts";

const directory = mkdtempSync(join(tmpdir(), "image-source-"));
const amd64 = parsePlatform("linux/amd64");
const environment = { variables: { HOME: directory, XDG_RUNTIME_DIR: directory }, userId: 0 };
const registries: FakeRegistry[] = [];

afterAll(async () => {
  rmSync(directory, { recursive: true });
  for (const registry of registries) await registry.stop();
});

interface Images {
  readonly image: BuiltImage;
  readonly other: BuiltImage;
  readonly index: BuiltIndex;
}

function open(reference: string): ImageSource {
  const retry = { tries: 3, delayMs: 1 };
  return openImageSource(parseImageReference(reference), openLinux(), { environment, retry });
}

async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const found: Uint8Array[] = [];
  for await (const piece of pieces) found.push(piece.slice());
  return Buffer.concat(found);
}

/** Puts the images at a fresh place, and says by which reference each is found there. */
type Serve = (
  images: Images,
  name: string,
) => Promise<{ readonly image: string; readonly index?: string; readonly missing: string }>;

const registryWith =
  (options: FakeRegistryOptions): Serve =>
  async ({ image, other, index }) => {
    const registry = await FakeRegistry.start(options);
    registries.push(registry);
    registry.add(other, "other");
    registry.add(index, "index");
    registry.add(image, "v1");
    const name = `docker://${registry.host}/os`;
    return { image: `${name}:v1`, index: `${name}:index`, missing: `${name}:v9` };
  };

const places: Readonly<Record<string, Serve>> = {
  "an OCI layout": async ({ image, other, index }, name) => {
    const path = join(directory, name);
    writeLayout(path, [
      { image: other, tag: "other" },
      { image, tag: "v1" },
      { image: index, tag: "index" },
    ]);
    return { image: `oci:${path}:v1`, index: `oci:${path}:index`, missing: `oci:${path}:v9` };
  },
  "an OCI archive": async ({ image, other, index }, name) => {
    const path = join(directory, `${name}.tar`);
    await writeOciArchive(path, [
      { image: other, tag: "other" },
      { image, tag: "v1" },
      { image: index, tag: "index" },
    ]);
    return { image: `oci-archive:${path}:v1`, index: `oci-archive:${path}:index`, missing: `oci-archive:${path}:v9` };
  },
  "a Docker archive": async ({ image, other }, name) => {
    const path = join(directory, `${name}.docker.tar`);
    await writeDockerArchive(path, [{ image: other }, { image, names: ["os:v1"] }]);
    return { image: `docker-archive:${path}:os:v1`, missing: `docker-archive:${path}:os:v9` };
  },
  "a Docker archive of the old format": async ({ image }, name) => {
    const path = join(directory, `${name}.old.tar`);
    await writeDockerArchive(path, [{ image, names: ["os:v1"] }], { oldFormat: true });
    return { image: `docker-archive:${path}`, missing: `docker-archive:${path}:os:v9` };
  },
  "a Docker archive with compressed layers": async ({ image }, name) => {
    const path = join(directory, `${name}.gz.tar`);
    await writeDockerArchive(path, [{ image, names: ["os:v1"] }], { compressed: true });
    return { image: `docker-archive:${path}`, missing: `docker-archive:${path}:@7` };
  },
  "a registry": registryWith({}),
  "a registry that asks for a token": registryWith({ auth: "token" }),
  "a registry that keeps blobs elsewhere": registryWith({ auth: "token", redirectBlobs: true }),
  "a registry that drops connections": registryWith({
    faults: [
      { path: /manifests/, times: 1, dropAfterBytes: 10 },
      { path: /blobs/, times: 2, dropAfterBytes: 100 },
    ],
  }),
  "a registry that drops connections and ignores Range": registryWith({
    ignoreRange: true,
    faults: [{ path: /blobs/, times: 2, dropAfterBytes: 100 }],
  }),
};

describe.each(Object.entries(places))("an image source: %s", (title, serve) => {
  let images: Images;
  let references: Awaited<ReturnType<Serve>>;

  beforeAll(async () => {
    const layers = [
      [{ path: "usr/" }, { path: "usr/a", content: "a".repeat(100_000) }],
      [{ path: "usr/" }, { path: "usr/a", content: "a".repeat(100_000) }],
      [{ path: "usr/b", symlink: "a" }],
    ];
    const image = await buildImage({ layers, labels: { version: "7" } });
    const other = await buildImage({ layers: [[{ path: "usr/" }]], architecture: "arm64" });
    images = { image, other, index: buildIndex([other, image]) };
    references = await serve(images, title.replaceAll(" ", "-"));
  });

  test("resolve: finds config, labels and layers with both digests", async () => {
    const source = open(references.image);
    const resolved = await source.resolve(amd64);
    expect(resolved.config.digest).toBe(images.image.configDigest);
    expect(Buffer.from(resolved.config.bytes)).toEqual(images.image.config);
    expect(resolved.imageConfig.labels).toEqual(new Map([["version", "7"]]));
    expect(resolved.layers.map((layer) => layer.diffId)).toEqual(images.image.layers.map((layer) => layer.diffId));
    expect(resolved.index).toBeUndefined();
    await source.close();
  });

  test("resolve: the manifest measures to its digest and names what was resolved", async () => {
    const source = open(references.image);
    const { manifest, config, layers } = await source.resolve(amd64);
    const hasher = new BlobHasher("sha256");
    hasher.update(manifest.bytes);
    expect(manifest.digest).toBe(hasher.measured());
    const document = JSON.parse(Buffer.from(manifest.bytes).toString());
    expect(document.mediaType).toBe(manifest.mediaType);
    expect(document.config).toEqual({ mediaType: config.mediaType, digest: config.digest, size: config.bytes.length });
    expect(document.layers).toEqual(
      layers.map(({ mediaType, digest, sizeBytes }) => ({ mediaType, digest, size: sizeBytes })),
    );
    await source.close();
  });

  test("resolveIndex: gives an index as it is and what it names; nothing where one image is meant", async () => {
    const source = open(references.image);
    expect(await source.resolveIndex()).toBeUndefined();
    await source.close();
    if (references.index === undefined) return;
    const indexed = open(references.index);
    const found = await indexed.resolveIndex();
    if (found === undefined) throw new Error("it is an index");
    const { document, readDocument } = found;
    expect(document.digest).toBe(images.index.indexDigest);
    expect(Buffer.from(document.bytes)).toEqual(Buffer.from(images.index.index));
    const { manifest } = images.other;
    const named = { mediaType: "", sizeBytes: manifest.length, annotations: new Map<string, string>() };
    const descriptor = { ...named, digest: parseManifestDigest(images.other.manifestDigest) };
    expect(Buffer.from(await readDocument(descriptor))).toEqual(Buffer.from(manifest));
    await expect(readDocument({ ...descriptor, sizeBytes: 1 })).rejects.toMatchObject({ code: "bad-format" });
    const gone = parseManifestDigest(`sha256:${"0".repeat(64)}`);
    await expect(readDocument({ ...descriptor, digest: gone })).rejects.toMatchObject({ code: "not-found" });
    await indexed.close();
  });

  test("openBlob: gives each layer's bytes, which measure to its digest; also from the middle on", async () => {
    const source = open(references.image);
    const { layers } = await source.resolve(amd64);
    for (const layer of layers) {
      const bytes = await bytesOf(source.openBlob(layer));
      const hasher = new BlobHasher("sha256");
      hasher.update(bytes);
      expect(hasher.measured()).toBe(layer.digest);
      expect(bytes).toHaveLength(layer.sizeBytes);
      const offsetBytes = Math.floor(layer.sizeBytes / 2);
      expect(await bytesOf(source.openBlob(layer, { offsetBytes }))).toEqual(bytes.subarray(offsetBytes));
      expect(await bytesOf(source.openBlob(layer, { offsetBytes: layer.sizeBytes }))).toHaveLength(0);
    }
    await source.close();
  });

  test("readBlobRange: gives exactly the bytes asked for, or says that the server cannot", async () => {
    const source = open(references.image);
    const [layer] = (await source.resolve(amd64)).layers;
    if (layer === undefined) throw new Error("the image has layers");
    const bytes = await bytesOf(source.openBlob(layer));
    const part = (offsetBytes: number, lengthBytes: number) =>
      bytesOf(source.readBlobRange(layer, { offsetBytes, lengthBytes }));
    const size = layer.sizeBytes;
    if (title.includes("ignores Range")) {
      await expect(part(0, size - 1)).rejects.toMatchObject({ code: "unsupported" });
    } else {
      expect(await part(0, 1)).toEqual(bytes.subarray(0, 1));
      expect(await part(7, size - 20)).toEqual(bytes.subarray(7, size - 13));
      expect(await part(size - 1, 1)).toEqual(bytes.subarray(size - 1));
      expect(await part(0, size)).toEqual(bytes);
    }
    expect(await part(size, 0)).toHaveLength(0);
    await expect(part(size - 1, 2)).rejects.toMatchObject({ code: "bad-format" });
    await expect(part(-1, 2)).rejects.toMatchObject({ code: "bad-format" });
    await source.close();
  });

  test("locateBlob: says where the same bytes lie, or that they have to be fetched", async () => {
    const source = open(references.image);
    const [layer] = (await source.resolve(amd64)).layers;
    if (layer === undefined) throw new Error("the image has layers");
    const location = source.locateBlob(layer);
    if (references.image.startsWith("docker:")) {
      expect(location).toBeUndefined();
    } else {
      expect(location).toMatchObject({ lengthBytes: layer.sizeBytes });
      if (location === undefined) return;
      const { files } = openLinux();
      const bytes = Buffer.alloc(location.lengthBytes);
      const fd = files.open(location.path, "read");
      files.read(fd, bytes, { offset: 0, length: bytes.length, position: location.offsetBytes });
      files.close(fd);
      expect(bytes).toEqual(await bytesOf(source.openBlob(layer)));
    }
    await source.close();
  });

  test("resolve: refuses what is not there with not-found", async () => {
    const source = open(references.missing);
    await expect(source.resolve(amd64)).rejects.toMatchObject({ code: "not-found" });
    await source.close();
  });

  test("resolve: refuses an image for other machines", async () => {
    const source = open(references.image);
    await expect(source.resolve(parsePlatform("linux/s390x"))).rejects.toMatchObject({
      code: "unsupported",
      message: `Cannot use ${source.describe()}: it is for linux/amd64, not for linux/s390x`,
    });
    await source.close();
  });

  test("resolve: chooses from an index by platform, and returns the index", async () => {
    if (references.index === undefined) return;
    const source = open(references.index);
    const resolved = await source.resolve(amd64);
    expect(resolved.manifest.digest).toBe(images.image.manifestDigest);
    expect(resolved.index).toMatchObject({ digest: images.index.indexDigest, mediaType: images.index.indexType });
    expect((await source.resolve(parsePlatform("arm64"))).manifest.digest).toBe(images.other.manifestDigest);
    await expect(source.resolve(parsePlatform("s390x"))).rejects.toMatchObject({
      code: "not-found",
      message: `Cannot use ${source.describe()}: it has no image for linux/s390x; it has "linux/arm64", "linux/amd64"`,
    });
    await source.close();
  });

  test("describe: is a reference that leads back here", () => {
    expect(open(references.image).describe()).toBe(
      references.image.startsWith("docker-archive:")
        ? references.image.replace(":os:", ":docker.io/library/os:")
        : references.image,
    );
  });
});
