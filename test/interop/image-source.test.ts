import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BlobHasher } from "../../src/core/digest/blob-hasher.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { ResolvedImage } from "../../src/image-source/image-source.ts";
import { openImageSource, type SourceOptions } from "../../src/image-source/open-image-source.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { type BuiltImage, buildImage, buildIndex } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { FakeRegistry } from "../fakes/fake-registry.ts";
import { hasDockerRegistry, startDockerRegistry } from "../tools/docker-registry.ts";
import { findTool } from "../tools/find-tool.ts";

const skopeo = findTool("skopeo");
const directory = mkdtempSync(join(tmpdir(), "interop-source-"));
const running: { stop(): unknown }[] = [];
const run = promisify(execFile);

let image: BuiltImage;
let layout = "";

beforeAll(async () => {
  image = await buildImage({
    layers: [[{ path: "usr/" }, { path: "usr/a", content: "a".repeat(50_000) }], [{ path: "usr/b", content: "b" }]],
    labels: { version: "7" },
  });
  const arm = await buildImage({ layers: [[{ path: "usr/" }]], architecture: "arm64" });
  layout = join(directory, "layout");
  writeLayout(layout, [
    { image, tag: "v1" },
    { image: buildIndex([arm, image]), tag: "index" },
  ]);
});

afterAll(async () => {
  for (const each of running) await each.stop();
  rmSync(directory, { recursive: true });
});

const copy = (source: string, target: string, ...options: readonly string[]) =>
  run(String(skopeo), ["--insecure-policy", "copy", "--quiet", ...options, source, target]);

/** Resolves and reads all of an image; the digests of its blobs fit or the test fails. */
async function readImage(reference: string, options: Partial<SourceOptions> = {}): Promise<ResolvedImage> {
  const environment = { variables: {}, userId: 4_000_000 };
  const source = openImageSource(parseImageReference(reference), openLinux(), { environment, ...options });
  const resolved = await source.resolve(parsePlatform("amd64"));
  for (const layer of resolved.layers) {
    const hasher = new BlobHasher("sha256");
    for await (const piece of source.openBlob(layer)) hasher.update(piece);
    expect(hasher.measured()).toBe(layer.digest);
  }
  await source.close();
  return resolved;
}

const diffIds = (resolved: ResolvedImage) => resolved.layers.map((layer) => layer.diffId);

describe.skipIf(skopeo === undefined)("what skopeo writes (needs skopeo)", () => {
  test.each([
    ["oci:", ["--format=oci"]],
    ["oci:", ["--format=v2s2"]],
    ["oci:", ["--dest-compress-format=zstd", "--dest-compress"]],
    ["oci-archive:", []],
    ["docker-archive:", []],
  ])("%s %j: the same layers and config", async (transport, options) => {
    const target = `${transport}${join(directory, `copy-${transport.slice(0, -1)}${options.join("")}`)}`;
    await copy(`oci:${layout}:v1`, `${target}:os:v1`, ...options);
    for (const reference of [target, `${target}:os:v1`]) {
      const resolved = await readImage(reference);
      expect(diffIds(resolved)).toEqual(image.layers.map((layer) => layer.diffId));
      expect(resolved.imageConfig.labels).toEqual(new Map([["version", "7"]]));
    }
  });

  test("the manifest made for a docker-archive names the blobs by the digests that skopeo finds", async () => {
    const archive = join(directory, "named.tar");
    await copy(`oci:${layout}:v1`, `docker-archive:${archive}:os:v1`);
    const { stdout } = await run(String(skopeo), ["inspect", "--raw", `docker-archive:${archive}`]);
    const theirs = JSON.parse(stdout) as { config: { digest: string }; layers: { digest: string; size: number }[] };
    const ours = await readImage(`docker-archive:${archive}`);
    expect(ours.config.digest).toBe(theirs.config.digest);
    expect(ours.layers.map(({ digest, sizeBytes }) => ({ digest, size: sizeBytes }))).toEqual(
      theirs.layers.map(({ digest, size }) => ({ digest, size })),
    );
  });
});

const newSkopeo = findTool("new-skopeo");

test.skipIf(newSkopeo === undefined)(
  "of gzip and zstd for one platform, skopeo's choice (needs new-skopeo)",
  async () => {
    const layers = [[{ path: "usr/" }, { path: "usr/a", content: "a" }]];
    const [gzip, zstd] = [await buildImage({ layers }), await buildImage({ layers, compression: "zstd" })];
    const annotations = { "io.github.containers.compression.zstd": "true" };
    const both = buildIndex([gzip, zstd], (each) => (each === zstd ? annotations : undefined));
    writeLayout(join(directory, "both"), [{ image: both }]);
    const target = join(directory, "chosen");
    await run(String(newSkopeo), ["--insecure-policy", "copy", "--quiet", `oci:${directory}/both`, `dir:${target}`]);
    expect(readFileSync(join(target, "manifest.json"))).toEqual(Buffer.from(zstd.manifest));
    expect((await readImage(`oci:${directory}/both`)).manifest.digest).toBe(zstd.manifestDigest);
  },
);

describe.skipIf(skopeo === undefined)("skopeo as the judge of our fake registry (needs skopeo)", () => {
  test.each([
    {},
    { auth: "token" },
    { auth: "basic", user: { name: "ann", password: "secret" } },
    { redirectBlobs: true },
  ] as const)("%j: skopeo pulls from it", async (options) => {
    const registry = await FakeRegistry.start(options);
    running.push(registry);
    registry.add(image, "v1");
    const target = join(directory, `fake-${running.length}`);
    await copy(
      `docker://${registry.host}/os:v1`,
      `oci:${target}:v1`,
      "--src-tls-verify=false",
      "--src-creds=ann:secret",
    );
    expect((await readImage(`oci:${target}`)).manifest.digest).toBe(image.manifestDigest);
  });
});

describe.skipIf(!hasDockerRegistry)("a real registry (needs skopeo and docker-registry)", () => {
  let host = "";

  beforeAll(async () => {
    const registry = await startDockerRegistry(join(directory, "registry"));
    running.push(registry);
    host = registry.host;
    for (const tag of ["v1", "index"]) {
      await copy(
        `oci:${layout}:${tag}`,
        `docker://${host}/lab/os:${tag}`,
        "--dest-tls-verify=false",
        "--preserve-digests",
        "--all",
      );
    }
  });

  test("by tag and by digest: the same image", async () => {
    for (const name of ["lab/os:v1", `lab/os@${image.manifestDigest}`]) {
      const resolved = await readImage(`docker://${host}/${name}`);
      expect(resolved.manifest.digest).toBe(image.manifestDigest);
      expect(diffIds(resolved)).toEqual(image.layers.map((layer) => layer.diffId));
    }
  });

  test("an index: the image for the platform", async () => {
    const resolved = await readImage(`${host}/lab/os:index`);
    expect(resolved.manifest.digest).toBe(image.manifestDigest);
    expect(resolved.index?.mediaType).toBe("application/vnd.oci.image.index.v1+json");
  });

  test("an unknown tag: the registry's words", async () => {
    await expect(readImage(`${host}/lab/os:v9`)).rejects.toMatchObject({
      code: "not-found",
      message: `Cannot fetch manifest of docker://${host}/lab/os:v9: the registry says "manifest unknown" (404)`,
    });
  });

  test("a range: exactly the rest", async () => {
    const source = openImageSource(parseImageReference(`${host}/lab/os:v1`), openLinux(), {
      environment: { variables: {}, userId: 4_000_000 },
    });
    const [layer] = (await source.resolve(parsePlatform("amd64"))).layers;
    if (layer === undefined) throw new Error("the image has layers");
    const pieces: Uint8Array[] = [];
    for await (const piece of source.openBlob(layer, { offsetBytes: 100 })) pieces.push(piece);
    expect(Buffer.concat(pieces).equals(Buffer.from(image.layers[0]?.blob ?? []).subarray(100))).toBe(true);
    await source.close();
  });
});
