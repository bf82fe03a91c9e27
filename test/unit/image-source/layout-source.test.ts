import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { parsePlatform } from "../../../src/core/oci/platform.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { openImageSource } from "../../../src/image-source/open-image-source.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { type BuiltImage, buildImage, descriptorOf, json } from "../../builders/oci-image.ts";
import { buildTar, sha256 } from "../../builders/oci-layer.ts";
import { writeDockerArchive, writeLayout } from "../../builders/oci-layout.ts";

const parent = mkdtempSync(join(tmpdir(), "layout-"));
const environment = { variables: {}, userId: 0 };
let image: BuiltImage;
let directory = "";
let count = 0;

afterAll(() => rmSync(parent, { recursive: true }));

beforeAll(async () => {
  image = await buildImage({ layers: [[{ path: "usr/" }]] });
});

beforeEach(() => {
  directory = join(parent, String(count++));
  writeLayout(directory, [{ image }]);
});

const source = () => openImageSource(parseImageReference(`oci:${directory}`), openLinux(), { environment });
const resolve = (platform = "amd64") => source().resolve(parsePlatform(platform));
const blobPath = (digest: string) => join(directory, "blobs", digest.replace(":", "/"));
const writeIndex = (...manifests: readonly object[]) =>
  writeFileSync(join(directory, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));

/** Gives the blob other bytes of the same length. */
function spoil(digest: string): void {
  const bytes = readFileSync(blobPath(digest));
  writeFileSync(blobPath(digest), bytes.fill(" ", bytes.length - 1));
}

/** Writes an index as a blob and returns its descriptor. */
function addIndex(...manifests: readonly object[]): { mediaType: string; digest: string; size: number } {
  const mediaType = "application/vnd.oci.image.index.v1+json";
  const bytes = json({ schemaVersion: 2, mediaType, manifests });
  writeFileSync(blobPath(sha256(bytes)), bytes);
  return { mediaType, digest: sha256(bytes), size: bytes.length };
}

describe("a layout", () => {
  test("needs no oci-layout file, but believes one of another version", async () => {
    writeFileSync(join(directory, "oci-layout"), '{"imageLayoutVersion":"2.0.0"}');
    await expect(resolve()).rejects.toThrow(`Cannot use oci:${directory}: its layout version is not 1`);
    rmSync(join(directory, "oci-layout"));
    expect((await resolve()).manifest.digest).toBe(image.manifestDigest);
  });

  test.each([-1, 1])("gives no layer that is longer or shorter than its descriptor says (%i)", async (more) => {
    const opened = source();
    const [layer] = (await opened.resolve(parsePlatform("amd64"))).layers;
    if (layer === undefined) throw new Error("the image has a layer");
    const bytes = readFileSync(blobPath(layer.digest));
    writeFileSync(blobPath(layer.digest), Buffer.concat([bytes, Buffer.alloc(1)]).subarray(0, bytes.length + more));
    for (const read of [() => opened.locateBlob(layer), () => opened.openBlob(layer)]) {
      expect(read).toThrow(`it has ${bytes.length + more} bytes, not ${bytes.length} as its descriptor says`);
    }
  });

  test("without index.json is none", async () => {
    rmSync(join(directory, "index.json"));
    await expect(resolve()).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining("it has no index.json"),
    });
  });

  test.each([
    ["a path where nothing is", () => {}, "oci:", "there is no such directory"],
    [
      "an archive",
      (path: string) => writeFileSync(path, ""),
      "oci:",
      "it is not a directory; write oci-archive:PATH for an archive",
    ],
    [
      "an archive of docker's",
      (path: string) => writeDockerArchive(path, [{ image }]),
      "oci-archive:",
      "it is an archive of docker's; write docker-archive:PATH",
    ],
  ])("that is %s is none, and what was meant is told", async (_, write, transport, state) => {
    const path = join(directory, "other");
    await write(path);
    const other = openImageSource(parseImageReference(`${transport}${path}`), openLinux(), { environment });
    await expect(other.resolve(parsePlatform("amd64"))).rejects.toMatchObject({
      code: "not-found",
      message: `Cannot find an image in ${transport}${path}: ${state.replace("PATH", path)}`,
    });
  });

  test("index.json that is a manifest is refused", async () => {
    writeFileSync(join(directory, "index.json"), image.manifest);
    await expect(resolve()).rejects.toMatchObject({ code: "bad-format" });
  });

  test.each(["manifest", "config"] as const)("a changed %s is refused: the digest does not fit", async (kind) => {
    const expected = image[`${kind}Digest`];
    spoil(expected);
    await expect(resolve()).rejects.toMatchObject({ code: "digest-mismatch", facts: { expected } });
  });

  test("a changed index is refused, and so is a changed manifest that it names, where all of it is wanted", async () => {
    const { digest, ...index } = addIndex(descriptorOf(image));
    writeIndex({ ...index, digest });
    const found = await source().resolveIndex();
    spoil(image.manifestDigest);
    const { size: sizeBytes, ...named } = descriptorOf(image);
    const member = { ...named, digest: parseManifestDigest(image.manifestDigest), sizeBytes, annotations: new Map() };
    await expect(found?.readDocument(member)).rejects.toMatchObject({
      code: "digest-mismatch",
      facts: { expected: image.manifestDigest },
    });
    spoil(digest);
    const refused = { code: "digest-mismatch", facts: { expected: digest } };
    await expect(source().resolveIndex()).rejects.toMatchObject(refused);
    await expect(resolve()).rejects.toMatchObject(refused);
  });

  test("a blob of another size is refused", async () => {
    writeFileSync(blobPath(image.configDigest), "{}");
    await expect(resolve()).rejects.toMatchObject({
      code: "bad-format",
      message: expect.stringContaining("it has 2 bytes, not"),
    });
  });

  test("a missing config is not-found", async () => {
    rmSync(blobPath(image.configDigest));
    await expect(resolve()).rejects.toMatchObject({
      code: "not-found",
      message: `Cannot find blob ${image.configDigest} in oci:${directory}`,
    });
  });

  test.each([
    ["a directory", (path: string) => mkdirSync(path), "it is a directory, not a file"],
    ["a symlink to a directory", (path: string) => symlinkSync("..", path), "it is a directory, not a file"],
    ["a symlink to nothing", (path: string) => symlinkSync("gone", path), "Cannot find blob"],
    ["a symlink to another file", (path: string) => symlinkSync("/etc/passwd", path), "as its descriptor says"],
  ])("a blob that is %s is refused", async (_, make, why) => {
    const [layer] = (await resolve()).layers;
    if (layer === undefined) throw new Error("the image has a layer");
    rmSync(blobPath(layer.digest));
    make(blobPath(layer.digest));
    expect(() => source().locateBlob(layer)).toThrow(why);
  });

  test("of symlinks, as build tools make them, is read", async () => {
    for (const path of [join(directory, "index.json"), blobPath(image.manifestDigest), blobPath(image.configDigest)]) {
      renameSync(path, `${path}.real`);
      symlinkSync(`${path}.real`, path);
    }
    expect((await resolve()).manifest.digest).toBe(image.manifestDigest);
  });

  test("a sha512 digest names a blob, too", async () => {
    const bytes = readFileSync(blobPath(image.manifestDigest));
    const hex = createHash("sha512").update(bytes).digest("hex");
    mkdirSync(join(directory, "blobs/sha512"));
    writeFileSync(blobPath(`sha512:${hex}`), bytes);
    writeIndex({ ...descriptorOf(image), digest: `sha512:${hex}` });
    expect((await resolve()).manifest.digest).toBe(`sha512:${hex}`);
  });

  test("an announced size beyond the limit is refused before anything is read", async () => {
    writeIndex({ ...descriptorOf(image), size: 5_000_000 });
    await expect(resolve()).rejects.toMatchObject({ code: "limit-exceeded" });
  });
});

describe("a layout: nested indexes", () => {
  const platform = { os: "linux", architecture: "amd64" };

  test("are searched, and the outermost is returned", async () => {
    const inner = addIndex({ ...descriptorOf(image), platform });
    const outer = addIndex(
      addIndex({ ...descriptorOf(image), platform: { ...platform, architecture: "arm64" } }),
      inner,
    );
    writeIndex(outer);
    const resolved = await resolve();
    expect(resolved.index?.digest).toBe(outer.digest);
    expect(resolved.manifest.digest).toBe(image.manifestDigest);
  });

  test("without the platform: what is there is listed, from all of them", async () => {
    const one = addIndex({ ...descriptorOf(image), platform });
    writeIndex(addIndex(one, addIndex({ ...descriptorOf(image), platform: { ...platform, architecture: "s390x" } })));
    await expect(resolve("arm64")).rejects.toThrow(
      'it has no image for linux/arm64; it has "linux/amd64", "linux/s390x"',
    );
  });

  test("four deep are searched, five are not", async () => {
    let index = addIndex({ ...descriptorOf(image), platform });
    for (let depth = 1; depth < 4; depth++) index = addIndex(index);
    writeIndex(index);
    expect((await resolve()).manifest.digest).toBe(image.manifestDigest);
    writeIndex(addIndex(index));
    await expect(resolve()).rejects.toMatchObject({
      code: "limit-exceeded",
      message: expect.stringContaining("4 deep"),
    });
  });

  test("many at one level come to an end", async () => {
    const empty = addIndex({ ...descriptorOf(image), platform: { ...platform, architecture: "s390x" } });
    const level = addIndex(...Array(900).fill(empty));
    writeIndex(addIndex(...Array(900).fill(level)));
    await expect(resolve()).rejects.toMatchObject({
      code: "limit-exceeded",
      message: expect.stringContaining("more than 32"),
    });
  });
});

test("openImageSource: rootfs: is no image", () => {
  expect(() => openImageSource(parseImageReference("rootfs:/srv"), openLinux(), { environment })).toThrow(
    "Cannot use rootfs:/srv here: it is a directory, not an image",
  );
});

test("a Docker archive: layers may be zstd-compressed, and the manifest says so", async () => {
  const path = join(directory, "zstd.tar");
  const zstd = await buildImage({ layers: [[{ path: "usr/" }]], compression: "zstd" });
  await writeDockerArchive(path, [{ image: zstd }], { compressed: true });
  const archive = openImageSource(parseImageReference(`docker-archive:${path}`), openLinux(), { environment });
  const { layers } = await archive.resolve(parsePlatform("amd64"));
  expect(layers).toMatchObject([
    { mediaType: "application/vnd.oci.image.layer.v1.tar+zstd", compression: "zstd", digest: zstd.layers[0]?.digest },
  ]);
});

test("a Docker archive that is an OCI archive is told so", async () => {
  const path = join(directory, "oci.tar");
  writeFileSync(path, await buildTar([{ path: "index.json", content: "{}" }]));
  const archive = openImageSource(parseImageReference(`docker-archive:${path}`), openLinux(), { environment });
  await expect(archive.resolve(parsePlatform("amd64"))).rejects.toMatchObject({
    code: "not-found",
    message: `Cannot find "manifest.json" in docker-archive:${path}; it is an OCI archive: write oci-archive:${path}`,
  });
});

test("a Docker archive without an image: not-found; with a broken one: bad-format", async () => {
  const path = join(directory, "docker.tar");
  await writeDockerArchive(path, [{ image: { ...image, layers: [] } as BuiltImage }]);
  const archive = openImageSource(parseImageReference(`docker-archive:${path}`), openLinux(), { environment });
  await expect(archive.resolve(parsePlatform("amd64"))).rejects.toMatchObject({ code: "bad-format" });
  const blob = { mediaType: "x", digest: `sha256:${"0".repeat(64)}` as never, sizeBytes: 1, annotations: new Map() };
  expect(() => archive.locateBlob(blob)).toThrow(expect.objectContaining({ code: "not-found" }));
  const list = JSON.stringify([{ Config: "gone.json", RepoTags: [], Layers: [] }]);
  writeFileSync(path, await buildTar([{ path: "manifest.json", content: list }]));
  const broken = openImageSource(parseImageReference(`docker-archive:${path}`), openLinux(), { environment });
  await expect(broken.resolve(parsePlatform("amd64"))).rejects.toThrow(
    `Cannot find "gone.json" in docker-archive:${path}`,
  );
});
