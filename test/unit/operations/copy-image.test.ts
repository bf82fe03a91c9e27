import { afterEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { Linux } from "../../../src/linux/linux.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { type CopiedImage, copyImage } from "../../../src/operations/copy-image.ts";
import type { SendOptions } from "../../../src/operations/send-image.ts";
import { type BuiltImage, buildImage } from "../../builders/oci-image.ts";
import {
  layoutReference,
  linuxAmd64,
  machineWith,
  noLogin,
  SeenProgress,
  systemOn,
} from "../../builders/operation-machine.ts";
import { FakeRegistry, type FakeRegistryOptions } from "../../fakes/fake-registry.ts";

const layers = [
  [
    { path: "a", content: "one" },
    { path: "big", content: "x".repeat(600_000) },
  ],
  [{ path: "b", content: "two" }],
];
const gzipped = await buildImage({ layers });
const docker = await buildImage({ layers: [...layers, ...layers], docker: true });
const plain = await buildImage({ layers, compression: "none" });

const registries: FakeRegistry[] = [];
afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.stop();
});

async function registryWith(image: BuiltImage, options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options);
  registries.push(registry);
  registry.add(image, "v1");
  return registry;
}

async function copy(linux: Linux, from: string, to: string, options: Partial<SendOptions> = {}): Promise<CopiedImage> {
  const retry = { tries: 2, delayMs: 1 };
  const copied = await copyImage(systemOn(linux), {
    image: parseImageReference(from),
    platform: linuxAmd64,
    source: { ...noLogin, retry },
    destination: parseImageReference(to),
    destinationOptions: { ...noLogin, retry },
    ...{ format: undefined, level: undefined, removeSignatures: false },
    ...options,
  });
  if (copied.kind !== "image") throw new Error("one image was to be copied");
  return copied;
}

describe("copyImage", () => {
  test("without a compression all bytes and digests stay, whatever the media types are", async () => {
    for (const image of [gzipped, docker, plain]) {
      const linux = machineWith({ v1: image });
      const copied = await copy(linux, layoutReference("v1"), "oci-archive:/out.tar:t");
      expect(copied).toMatchObject({ image: layoutReference("v1"), manifestDigest: image.manifestDigest });
      const again = await copy(linux, "oci-archive:/out.tar:t", "oci:/out:t");
      expect(again).toEqual({ ...copied, image: "oci-archive:/out.tar:t", destination: "oci:/out:t" });
      expect(again.layers.map(({ digest }) => digest)).toEqual(image.layers.map(({ digest }) => digest));
      expect(linux.openPaths).toEqual([]);
    }
  });

  test("layers in the form that is asked for stay; others are compressed anew, and their tars stay", async () => {
    const linux = machineWith({ v1: docker });
    const stays = await copy(linux, layoutReference("v1"), "oci:/gzip:t", { format: "gzip" });
    expect(stays.manifestDigest).toBe(docker.manifestDigest);
    const chunked = await copy(linux, layoutReference("v1"), "oci:/chunked:t", { format: "zstd:chunked" });
    expect(chunked.layers.map(({ diffId, format }) => [diffId, format])).toEqual(
      docker.layers.map(({ diffId }) => [diffId, "zstd:chunked"]),
    );
    expect(chunked.configDigest).toBe(docker.configDigest);
    const again = await copy(linux, "oci:/chunked:t", "oci:/again:t", { format: "zstd:chunked" });
    expect(again.manifestDigest).toBe(chunked.manifestDigest);
    const asZstd = await copy(linux, "oci:/chunked:t", "oci:/zstd:t", { format: "zstd" });
    expect(asZstd.manifestDigest).toBe(chunked.manifestDigest);
    const harder = await copy(linux, "oci:/chunked:t", "oci:/zstd:t", { format: "zstd", level: 12 });
    expect(harder.layers.map(({ format }) => format)).toEqual(docker.layers.map(() => "zstd"));
    const back = await copy(linux, "oci:/chunked:t", "oci:/none:t", { format: "none" });
    expect(back.layers.map(({ digest }) => digest)).toEqual(docker.layers.map(({ diffId }) => diffId));
  });

  test("from registry to registry; what is there is not sent again", async () => {
    const from = await registryWith(gzipped);
    const to = await registryWith(plain);
    const linux = openLinux();
    const target = `docker://${to.host}/os:new`;
    const first = await copy(linux, `docker://${from.host}/os:v1`, target);
    expect(first.sentBytes).toBeGreaterThan(0);
    const before = to.requests.length;
    const second = await copy(linux, `docker://${from.host}/os:v1`, target);
    expect([second.sentBytes, second.layers.map(({ known }) => known)]).toEqual([0, [true, true]]);
    expect(to.requests.slice(before).map(({ method }) => method)).toEqual(["HEAD", "HEAD", "HEAD", "PUT"]);
    expect(await copy(linux, target, `docker://${from.host}/os:back`)).toMatchObject({
      manifestDigest: gzipped.manifestDigest,
    });
  });

  test("a blob that is not what its digest says: refused, and no tag is set", async () => {
    const content = Buffer.alloc(gzipped.layers[0]?.blob.length ?? 0, 7);
    const path = new RegExp(`blobs/${gzipped.layers[0]?.digest}`);
    const from = await registryWith(gzipped, { faults: [{ path, content }] });
    const to = await registryWith(plain);
    for (const format of [undefined, "zstd"] as const) {
      const copied = copy(openLinux(), `docker://${from.host}/os:v1`, `docker://${to.host}/os:bad`, { format });
      await expect(copied).rejects.toMatchObject({ code: expect.stringMatching(/digest-mismatch|bad-format/) });
    }
    expect(to.requests.filter(({ path: asked }) => asked.includes("manifests/bad"))).toEqual([]);
  });

  test("a tar that is not what the config says: refused", async () => {
    const lying = await lyingImage();
    const linux = machineWith({ v1: lying });
    const copied = copy(linux, layoutReference("v1"), "oci:/out:t", { format: "zstd:chunked" });
    await expect(copied).rejects.toMatchObject({
      code: "digest-mismatch",
      message: expect.stringContaining("its tar measures to"),
    });
    expect(linux.files.lstatIfExists(fromText("/out"))).toBeUndefined();
  });

  test("removes what a run left that was killed", async () => {
    const linux = machineWith({ v1: gzipped });
    linux.files.makeDirectory(fromText("/.osdeploy-copy-dead"), 0o700);
    linux.files.writeNewFile(fromText("/.osdeploy-copy-dead/archive"), Buffer.from("x"), 0o644);
    await copy(linux, layoutReference("v1"), "oci-archive:/out.tar");
    expect(linux.files.readDirectory(fromText("/")).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("tells how far it is", async () => {
    const linux = machineWith({ v1: gzipped });
    const seen = new SeenProgress();
    await copyImage(systemOn(linux, { progress: seen.report }), {
      image: parseImageReference(layoutReference("v1")),
      platform: linuxAmd64,
      source: noLogin,
      destination: parseImageReference("oci-archive:/out.tar"),
      destinationOptions: noLogin,
      ...{ format: "gzip", level: undefined, removeSignatures: false },
    });
    const kinds = seen.events.map(({ kind }) => kind);
    expect(kinds[0]).toBe("start");
    expect(kinds.at(-1)).toBe("done");
    const last = seen.events.filter((event) => event.kind === "layer-advanced").at(-1);
    expect(last).toMatchObject({ digest: gzipped.layers[1]?.digest, bytes: gzipped.layers[1]?.blob.length });
  });
});

/** An image whose config names other tars than its layers hold. */
async function lyingImage(): Promise<BuiltImage> {
  const other = await buildImage({ layers: [layers[1] ?? [], layers[1] ?? []] });
  const manifest = Buffer.from(
    Buffer.from(gzipped.manifest)
      .toString()
      .replace(gzipped.configDigest, other.configDigest)
      .replace(/"size":\d+/, `"size":${other.config.length}`),
  );
  const { sha256 } = await import("../../builders/oci-layer.ts");
  const manifestDigest = sha256(manifest);
  const blobs = new Map([...gzipped.blobs, ...other.blobs, [manifestDigest, manifest] as const]);
  return { ...gzipped, manifest, manifestDigest, blobs };
}
