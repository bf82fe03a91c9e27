import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseConfigDigest, parseLayerDigest, parseManifestDigest } from "../../src/core/digest/oci-digest.ts";
import type { Descriptor } from "../../src/core/oci/descriptor.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { ImageDestination, ImageToCommit } from "../../src/image-source/image-destination.ts";
import { openImageDestination } from "../../src/image-source/open-image-destination.ts";
import { openImageSource } from "../../src/image-source/open-image-source.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { type BuiltImage, buildImage } from "../builders/oci-image.ts";
import { FakeRegistry, type FakeRegistryOptions } from "../fakes/fake-registry.ts";

const directory = mkdtempSync(join(tmpdir(), "image-destination-"));
const amd64 = parsePlatform("linux/amd64");
const environment = { variables: { HOME: directory, XDG_RUNTIME_DIR: directory, TMPDIR: directory }, userId: 0 };
const options = { environment, retry: { tries: 3, delayMs: 1 } };
const registries: FakeRegistry[] = [];
let image: BuiltImage;

beforeAll(async () => {
  image = await buildImage({ layers: [[{ path: "a", content: "one" }], [{ path: "b", content: "two" }]] });
});

afterAll(async () => {
  rmSync(directory, { recursive: true });
  for (const registry of registries) await registry.stop();
});

const open = (reference: string): Promise<ImageDestination> =>
  openImageDestination(parseImageReference(reference), openLinux(), options);

function blobsOf({ layers, config, configDigest }: BuiltImage): readonly (readonly [Descriptor, Uint8Array])[] {
  const annotations = new Map<string, string>();
  const all = layers.map(({ digest, blob, mediaType }) => [parseLayerDigest(digest), blob, mediaType] as const);
  return [...all, [parseConfigDigest(configDigest), config, "config"] as const].map(([digest, bytes, mediaType]) => [
    { mediaType, digest, sizeBytes: bytes.length, annotations },
    bytes,
  ]);
}

function commitOf({ manifest, manifestDigest, manifestType }: BuiltImage): ImageToCommit {
  const document = { mediaType: manifestType, digest: parseManifestDigest(manifestDigest), bytes: manifest };
  return { manifest: document, platform: amd64 };
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100);
}

async function send(destination: ImageDestination, built: BuiltImage): Promise<void> {
  for (const [blob, bytes] of blobsOf(built)) await destination.putBlob(blob, () => pieces(bytes));
  await destination.commit(commitOf(built));
}

async function digestAt(reference: string): Promise<string> {
  const source = openImageSource(parseImageReference(reference), openLinux(), options);
  try {
    const resolved = await source.resolve(amd64);
    for (const layer of resolved.layers) {
      let bytes = 0;
      for await (const piece of source.openBlob(layer)) bytes += piece.length;
      expect(bytes).toBe(layer.sizeBytes);
    }
    return resolved.manifest.digest;
  } finally {
    await source.close();
  }
}

/** A fresh place: its reference, and the names of what is there besides images. */
type Prepare = (name: string) => Promise<{ readonly reference: string; readonly left: () => readonly string[] }>;

const registryWith =
  (registryOptions: FakeRegistryOptions): Prepare =>
  async () => {
    const registry = await FakeRegistry.start(registryOptions);
    registries.push(registry);
    return { reference: `docker://${registry.host}/os:v1`, left: scratchNames };
  };

const scratchNames = () => readdirSync(directory).filter((name) => name.startsWith(".osdeploy-"));

const places: Readonly<Record<string, Prepare>> = {
  "a registry": registryWith({}),
  "a registry with tokens": registryWith({ auth: "token" }),
  "a layout": async (name) => ({ reference: `oci:${join(directory, name)}:v1`, left: scratchNames }),
  "an archive": async (name) => ({ reference: `oci-archive:${join(directory, `${name}.tar`)}:v1`, left: scratchNames }),
};

for (const [place, prepare] of Object.entries(places)) {
  const name = place.replaceAll(" ", "-");
  describe(`an image destination: ${place}`, () => {
    test("what is written is read again, byte for byte, and nothing else is left", async () => {
      const { reference, left } = await prepare(`${name}-1`);
      const destination = await open(reference);
      expect(destination.describe()).toBe(reference);
      await send(destination, image);
      await destination.close();
      await destination.close();
      expect(await digestAt(reference)).toBe(image.manifestDigest);
      expect(left()).toEqual([]);
    });

    test("nothing is there under the name before the commit, nor afterwards when there is none", async () => {
      const { reference, left } = await prepare(`${name}-2`);
      const destination = await open(reference);
      for (const [blob, bytes] of blobsOf(image)) await destination.putBlob(blob, () => pieces(bytes));
      await destination.close();
      await expect(digestAt(reference)).rejects.toMatchObject({ code: "not-found" });
      expect(left()).toEqual([]);
    });

    test("bytes that are not the blob's are refused", async () => {
      const { reference } = await prepare(`${name}-3`);
      const destination = await open(reference);
      const [[blob, bytes] = []] = blobsOf(image);
      if (blob === undefined || bytes === undefined) throw new Error("the image has layers");
      const other = Buffer.from(bytes).fill(0, 0, 1);
      await expect(destination.putBlob(blob, () => pieces(other))).rejects.toMatchObject({ code: "digest-mismatch" });
      await destination.close();
    });

    test("a file becomes a blob, which then is there", async () => {
      const { reference } = await prepare(`${name}-4`);
      const destination = await open(reference);
      for (const [at, [blob, bytes]] of blobsOf(image).entries()) {
        expect(await destination.hasBlob(blob)).toBe(false);
        const path = join(destination.scratch, `file-${at}`);
        writeFileSync(path, bytes);
        await destination.putFile(blob, fromText(path));
        expect(await destination.hasBlob(blob)).toBe(true);
      }
      expect(readdirSync(destination.scratch).filter((each) => each.startsWith("file-"))).toEqual([]);
      await destination.commit(commitOf(image));
      await destination.close();
      expect(await digestAt(reference)).toBe(image.manifestDigest);
    });
  });
}

describe("a layout that is there", () => {
  test("gets the image besides its others, and loses nothing when a run fails", async () => {
    const layout = join(directory, "shared");
    const other = await buildImage({ layers: [[{ path: "c", content: "three" }]] });
    const write = async (tag: string, built: BuiltImage) => {
      const destination = await open(`oci:${layout}${tag}`);
      await send(destination, built);
      await destination.close();
    };
    await write(":v1", image);
    await write(":v2", other);
    await write("", other);
    await write("", other);
    const blobs = readdirSync(join(layout, "blobs/sha256"));
    expect(await digestAt(`oci:${layout}:v1`)).toBe(image.manifestDigest);
    expect(await digestAt(`oci:${layout}:v2`)).toBe(other.manifestDigest);
    const failed = await open(`oci:${layout}:v3`);
    const third = await buildImage({ layers: [[{ path: "d", content: "four" }]] });
    for (const [blob, bytes] of blobsOf(third)) await failed.putBlob(blob, () => pieces(bytes));
    await failed.close();
    expect(readdirSync(join(layout, "blobs/sha256"))).toEqual(blobs);
    expect(readdirSync(layout).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
    await write(":v1", third);
    expect(await digestAt(`oci:${layout}:v1`)).toBe(third.manifestDigest);
    const { manifests } = JSON.parse(
      String(await import("node:fs").then(({ readFileSync }) => readFileSync(join(layout, "index.json")))),
    );
    expect(manifests).toHaveLength(3);
  });

  test("two write side by side: who fails takes nothing away that the other one counts on", async () => {
    const layout = join(directory, "side-by-side");
    const first = await open(`oci:${layout}:v0`);
    await send(first, await buildImage({ layers: [[{ path: "e", content: "five" }]] }));
    await first.close();
    for (const closing of ["after the other's commit", "before it"]) {
      const built = await buildImage({ layers: [[{ path: "f", content: closing }]] });
      const [failing, other] = [await open(`oci:${layout}:a`), await open(`oci:${layout}:b`)];
      for (const [blob, bytes] of blobsOf(built)) await failing.putBlob(blob, () => pieces(bytes));
      for (const [blob] of blobsOf(built)) expect(await other.hasBlob(blob)).toBe(true);
      if (closing === "before it") await failing.close();
      await other.commit(commitOf(built));
      await other.close();
      await failing.close();
      expect(await digestAt(`oci:${layout}:b`), closing).toBe(built.manifestDigest);
    }
  });

  test("written at the same time, a new one is the first's; the second is told so", async () => {
    const layout = join(directory, "both-new");
    const [first, second] = [await open(`oci:${layout}:a`), await open(`oci:${layout}:b`)];
    await send(first, image);
    await first.close();
    await expect(send(second, image)).rejects.toMatchObject({
      code: "already-exists",
      message: `Cannot write an image to "${layout}": somebody else wrote there meanwhile`,
    });
    await second.close();
    expect(await digestAt(`oci:${layout}:a`)).toBe(image.manifestDigest);
    expect(scratchNames()).toEqual([]);
  });

  test("an empty directory is filled; one with something else is left alone", async () => {
    const empty = join(directory, "empty");
    mkdirSync(empty);
    const destination = await open(`oci:${empty}/:v1`);
    await send(destination, image);
    await destination.close();
    expect(await digestAt(`oci:${empty}:v1`)).toBe(image.manifestDigest);
    const full = join(directory, "full");
    mkdirSync(full);
    writeFileSync(join(full, "letter"), "dear");
    await expect(open(`oci:${full}:v1`)).rejects.toMatchObject({ code: "already-exists" });
    await expect(open(`oci:${join(full, "letter")}:v1`)).rejects.toMatchObject({ code: "already-exists" });
    expect(readdirSync(full)).toEqual(["letter"]);
  });
});

describe("a registry", () => {
  const start = async (registryOptions: FakeRegistryOptions) => {
    const registry = await FakeRegistry.start(registryOptions);
    registries.push(registry);
    return registry;
  };

  test("busy now and then: every request is tried again, the blob from its start", async () => {
    const faults = [/uploads/, /upload\/7/, /manifests/].map((path) => ({ path, times: 1, status: 503 }));
    const registry = await start({ faults });
    const destination = await open(`docker://${registry.host}/os:v1`);
    await send(destination, image);
    await destination.close();
    expect(await digestAt(`docker://${registry.host}/os:v1`)).toBe(image.manifestDigest);
  });

  test.each<[string, RegExp, number, string]>([
    ["an upload refused", /uploads/, 403, "unauthorized"],
    ["a blob refused", /upload\/7/, 400, "network"],
    ["a manifest refused", /manifests/, 404, "not-found"],
  ])("%s: an error that names the place, and not the password", async (_name, path, status, code) => {
    const registry = await start({ faults: [{ path, status }] });
    const credentials = { user: "ann", password: "s3cret" };
    const reference = parseImageReference(`docker://${registry.host}/os:v1`);
    const destination = await openImageDestination(reference, openLinux(), { ...options, credentials });
    await expect(send(destination, image)).rejects.toSatisfy((error: Error & { code: string }) => {
      expect(error.message).toContain(`docker://${registry.host}/os:v1`);
      expect(error.message).not.toContain("s3cret");
      return error.code === code;
    });
    await destination.close();
  });

  test("with a password: requests side by side all log in", async () => {
    const registry = await start({ auth: "basic", user: { name: "ann", password: "s3cret" } });
    const credentials = { user: "ann", password: "s3cret" };
    const reference = parseImageReference(`docker://${registry.host}/os:v1`);
    const destination = await openImageDestination(reference, openLinux(), { ...options, credentials });
    const found = await Promise.all(blobsOf(image).map(([blob]) => destination.hasBlob(blob)));
    expect(found).toEqual([false, false, false]);
    await destination.close();
  });

  test("a look-up that fails, and an upload without a place, are told", async () => {
    const faults = [
      { path: /blobs\/sha256/, status: 400 },
      { path: /uploads/, status: 202, headers: {} },
    ];
    const registry = await start({ faults });
    const destination = await open(`docker://${registry.host}/os:v1`);
    const [[blob, bytes] = []] = blobsOf(image);
    if (blob === undefined || bytes === undefined) throw new Error("the image has layers");
    await expect(destination.hasBlob(blob)).rejects.toMatchObject({ code: "network" });
    await expect(destination.putBlob(blob, () => pieces(bytes))).rejects.toThrow("names no place for it");
    await destination.close();
  });

  test("a digest in the name has to be the image's", async () => {
    const registry = await start({});
    const other = `sha256:${"0".repeat(64)}`;
    const destination = await open(`docker://${registry.host}/os@${other}`);
    await expect(destination.commit(commitOf(image))).rejects.toMatchObject({ code: "usage" });
    await destination.close();
    const right = await open(`docker://${registry.host}/os@${image.manifestDigest}`);
    await send(right, image);
    await right.close();
    expect(await digestAt(`docker://${registry.host}/os@${image.manifestDigest}`)).toBe(image.manifestDigest);
  });

  /** An environment with this registries.conf. */
  const configured = (text: string) => {
    const configuration = join(directory, "registries.conf");
    writeFileSync(configuration, text);
    chmodSync(configuration, 0o644);
    return { ...environment, variables: { ...environment.variables, CONTAINERS_REGISTRIES_CONF: configuration } };
  };

  test("registries.conf blocks writing, too", async () => {
    const blocked = configured('[[registry]]\nlocation = "blocked.example"\nblocked = true\n');
    const reference = parseImageReference("docker://blocked.example/os:v1");
    await expect(openImageDestination(reference, openLinux(), { environment: blocked })).rejects.toMatchObject({
      code: "permission-denied",
    });
  });

  test("what is written goes to the registry that is named, not where registries.conf has it read from", async () => {
    const [named, other] = [await start({}), await start({})];
    const mirror = `[[registry.mirror]]\nlocation = "${other.host}"\n`;
    const conf = `[[registry]]\nprefix = "${named.host}"\nlocation = "${other.host}"\n${mirror}`;
    const reference = parseImageReference(`docker://${named.host}/os:v1`);
    const destination = await openImageDestination(reference, openLinux(), {
      ...options,
      environment: configured(conf),
    });
    await send(destination, image);
    await destination.close();
    expect(await digestAt(`docker://${named.host}/os:v1`)).toBe(image.manifestDigest);
    expect(other.requests).toEqual([]);
  });
});

test.each([
  ["os:v1", "usage"],
  [`oci:${directory}/x@sha256:${"0".repeat(64)}`, "usage"],
  [`oci:${directory}/x:v1@sha256:${"0".repeat(64)}`, "usage"],
  [`oci-archive:${directory}/x:@1`, "usage"],
  [`docker-archive:${directory}/x`, "unsupported"],
  [`rootfs:${directory}`, "unsupported"],
])("openImageDestination: %s cannot be written to", async (reference, code) => {
  await expect(open(reference)).rejects.toMatchObject({ code });
});
