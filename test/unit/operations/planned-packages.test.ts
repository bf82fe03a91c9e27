import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { type PlanImageResult, planImage } from "../../../src/operations/plan-image.ts";
import { pull } from "../../../src/operations/pull.ts";
import { buildChunkedImage, buildChunkedLayer, type ChunkedOptions, noise } from "../../builders/chunked-layer.ts";
import { dpkgStatus } from "../../builders/chunked-os.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { type BuiltImage, buildImage } from "../../builders/oci-image.ts";
import { type LayerFile, sha256 } from "../../builders/oci-layer.ts";
import { bareEnvironment } from "../../builders/oci-source.ts";
import { linuxAmd64, machineWithRepo, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { pullFrom, registryWith, stopRegistries, v1Image, v2, v2Image } from "../../builders/partial-pull.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";
import type { FakeRegistry } from "../../fakes/fake-registry.ts";
import { type JsonSchema, schemaErrors } from "../../tools/json-schema.ts";

afterAll(stopRegistries);

const filler: LayerFile = { path: "usr/filler", content: noise(60_000, 5) };
const headers = readFileSync(new URL("../../vectors/packages/headers.sqlite", import.meta.url));

async function chunked(files: readonly LayerFile[], options: ChunkedOptions = {}): Promise<BuiltImage> {
  const layer = await buildChunkedLayer([{ path: "usr/" }, filler, ...files], { chunkBytes: 512, ...options });
  return buildChunkedImage([layer]);
}

const source = { environment: bareEnvironment, retry: { tries: 1, delayMs: 1 } };

function planFrom(linux: FakeLinux, registry: FakeRegistry, tag: string): Promise<PlanImageResult> {
  registry.requests.length = 0;
  const image = parseImageReference(`docker://${registry.host}/os:${tag}`);
  return planImage(systemOn(linux), { image, repo: repoOfSysroot, platform: linuxAmd64, source });
}

/** The plan for the second image on a machine that has the first. */
async function planned(before: BuiltImage, after: BuiltImage): Promise<PlanImageResult> {
  const linux = await machineWithRepo({});
  const registry = await registryWith({ before, after });
  await pullFrom(linux, registry, "before");
  const found = await planFrom(linux, registry, "after");
  const schema = readFileSync(new URL("../../../docs/reference/schema/plan.json", import.meta.url), "utf8");
  expect(schemaErrors(JSON.parse(JSON.stringify(found)), JSON.parse(schema) as JsonSchema)).toEqual([]);
  return found;
}

describe("planImage from a registry", () => {
  test("the download is within what the plan says, and the objects are exactly those", async () => {
    const linux = await machineWithRepo({});
    const registry = await registryWith({ v1: v1Image, v2: v2Image });
    await pullFrom(linux, registry, "v1");
    const before = describeFiles(linux.files, fromText("/"));
    const found = await planFrom(linux, registry, "v2");
    expect(describeFiles(linux.files, fromText("/"))).toEqual(before);
    const { addedBytes, addedObjects, layerBytes } = await pullFrom(linux, registry, "v2");
    expect(layerBytes).toBeGreaterThanOrEqual(found.leastDownloadBytes);
    expect(layerBytes).toBeLessThanOrEqual(found.downloadBytes);
    expect(addedObjects).toBe(found.newObjects + found.otherObjects);
    expect(Math.abs(addedBytes - found.newBytes - Number(found.otherBytes))).toBeLessThan(64);
  });

  test("contents of layers that no index knows yet are measured, and nothing is written for it", async () => {
    const files = [{ path: "usr/" }, filler, { path: "usr/x", content: noise(9000, 1) }];
    const linux = await machineWithRepo({});
    const registry = await registryWith({ plain: await buildImage({ layers: [files] }), after: await chunked([]) });
    await pullFrom(linux, registry, "plain");
    const before = describeFiles(linux.files, fromText("/"));
    const found = await planFrom(linux, registry, "after");
    expect(describeFiles(linux.files, fromText("/"))).toEqual(before);
    expect(found).toMatchObject({ newObjects: 0, layers: [{ kind: "chunked", inParts: true }] });
    expect(found.files).toMatchObject({ kind: "known", added: 0, removed: 1, changed: 0 });
    const { layerBytes } = await pullFrom(linux, registry, "after");
    expect(layerBytes).toBeGreaterThanOrEqual(found.leastDownloadBytes);
    expect(layerBytes).toBeLessThanOrEqual(found.downloadBytes);
  });

  test("a layer of which nothing is here, or that is small, comes whole", async () => {
    const other = { path: "usr/other", content: noise(60_000, 9) };
    const layers = await Promise.all(
      [[other], [{ path: "usr/few", content: "few bytes" }]].map((files) => buildChunkedLayer(files)),
    );
    const linux = await machineWithRepo({});
    const registry = await registryWith({ before: await chunked([]), after: buildChunkedImage(layers) });
    await pullFrom(linux, registry, "before");
    const found = await planFrom(linux, registry, "after");
    expect(found.layers).toMatchObject([{ inParts: false }, { inParts: false }]);
    const { layerBytes } = await pullFrom(linux, registry, "after");
    expect([found.downloadBytes, found.isDownloadBound]).toEqual([layerBytes, false]);
  });

  test("what a pull before has left of a whole layer is not fetched again", async () => {
    const after = await chunked([]);
    const linux = await machineWithRepo({});
    const registry = await registryWith({ after });
    const { layers, downloadBytes } = await planFrom(linux, registry, "after");
    linux.files.makeDirectory(fromText(`${repoOfSysroot}/staging`), 0o700);
    const whole = `${repoOfSysroot}/staging/layer-${layers[0]?.digest.replace(":", "-")}`;
    linux.files.writeNewFile(fromText(whole), new Uint8Array(1000), 0o600);
    expect(await planFrom(linux, registry, "after")).toMatchObject({ downloadBytes: downloadBytes - 1000 });
  });

  test("layers that share what a pull may ask for are told with the least that each can get", async () => {
    const sizes = Array.from({ length: 24 }, (_, i) => (i % 2 === 0 ? 20_000 : 600));
    const filesOf = (layer: number, isNew: boolean) =>
      sizes.map((size, i) => ({
        path: `usr/${layer}-${i}`,
        content: noise(size, 100 * layer + i + (isNew && i % 2 === 1 ? 50 : 1)),
      }));
    const build = (isNew: boolean, count: number) =>
      Promise.all(Array.from({ length: count }, (_, layer) => buildChunkedLayer(filesOf(layer, isNew))));
    const [alone, first] = await Promise.all([build(true, 1), build(false, 6)]);
    const all = [...alone, ...(await build(true, 6)).slice(1)];
    const linux = await machineWithRepo({});
    const images = { before: first, alone, all };
    const built = Object.entries(images).map(([tag, layers]) => [tag, buildChunkedImage(layers)]);
    const registry = await registryWith(Object.fromEntries(built));
    await pullFrom(linux, registry, "before");
    const one = await planFrom(linux, registry, "alone");
    const six = await planFrom(linux, registry, "all");
    expect(one.layers).toMatchObject([{ inParts: true }]);
    // Twelve parts, for which only eight requests may be left.
    expect(Number(six.layers[0]?.downloadBytes)).toBeGreaterThan(Number(one.layers[0]?.downloadBytes) + 4 * 20_000);
    const { layerBytes } = await pullFrom(linux, registry, "all");
    expect(layerBytes).toBeGreaterThanOrEqual(six.leastDownloadBytes);
    expect(layerBytes).toBeLessThanOrEqual(six.downloadBytes);
  });

  test.each([416, 404])("a registry that answers %i where it is asked for parts: layers come whole", async (status) => {
    const linux = await machineWithRepo({});
    const more = await buildChunkedLayer([{ path: "usr/more", content: noise(20_000, 8) }]);
    const registry = await registryWith({ v1: v1Image, v2: buildChunkedImage([v2, more]) });
    await pullFrom(linux, registry, "v1");
    registry.faults.push({ path: new RegExp(v2.digest), status, times: 1 });
    const found = await planFrom(linux, registry, "v2");
    expect(found.layers).toMatchObject([{ kind: "whole" }, { kind: "whole" }]);
    expect([found.uncountedLayers, found.downloadBytes]).toEqual([2, v2.blob.length + more.blob.length]);
    expect(registry.requests.filter(({ path }) => path.includes(more.digest))).toEqual([]);
  });

  test("a link that breaks while tables are fetched ends the plan", async () => {
    const linux = await machineWithRepo({});
    const registry = await registryWith({ v1: v1Image, v2: v2Image });
    await pullFrom(linux, registry, "v1");
    registry.faults.push({ path: new RegExp(v2.digest), status: 503 });
    await expect(planFrom(linux, registry, "v2")).rejects.toMatchObject({ code: "network" });
  });

  test("an image with the same layer twice", async () => {
    const layer = await buildChunkedLayer([{ path: "usr/" }, filler]);
    const found = await planned(await chunked([]), buildChunkedImage([layer, layer]));
    expect(found).toMatchObject({ newObjects: 0, files: { kind: "known", added: 0, changed: 0, removed: 0 } });
  });
});

describe("packages of an image that is not here", () => {
  const status = "var/lib/dpkg/status";

  test("the database alone is fetched, in parts that are packed and parts of zeros", async () => {
    const zeros = Buffer.concat([
      Buffer.from(dpkgStatus("apt 3.1")),
      Buffer.alloc(4096),
      Buffer.from("\n\n"),
      Buffer.from(dpkgStatus("b 1")),
    ]);
    const found = await planned(
      await chunked([{ path: status, content: dpkgStatus("apt 3.0") }]),
      await chunked([{ path: status, content: zeros }]),
    );
    expect(found.packages).toMatchObject({
      ...{ kind: "known", managers: ["dpkg"], replaced: [{ name: "apt", before: "3.0", after: "3.1" }] },
      added: [{ name: "b" }],
    });
  });

  test("of several layers the last that has the database counts, and none after a whiteout", async () => {
    const before = await chunked([{ path: status, content: dpkgStatus("apt 1") }]);
    const layers = await Promise.all([
      buildChunkedLayer([{ path: status, content: dpkgStatus("apt 2") }]),
      buildChunkedLayer([{ path: status, content: dpkgStatus("apt 3") }]),
    ]);
    expect((await planned(before, buildChunkedImage(layers))).packages).toMatchObject({ replaced: [{ after: "3" }] });
    const gone = buildChunkedImage([
      ...layers,
      await buildChunkedLayer([{ path: "var/lib/dpkg/.wh.status", content: "" }]),
    ]);
    expect((await planned(before, gone)).packages).toMatchObject({ kind: "known", removed: [{ name: "apt" }] });
  });

  test("rpm's and apk's databases, also tiny ones", async () => {
    const found = await planned(
      await chunked([{ path: "lib/apk/db/installed", content: "P:musl\nV:1\n" }]),
      await chunked([
        { path: "lib/apk/db/installed", content: "P:musl\nV:2\n" },
        { path: "usr/lib/sysimage/rpm/rpmdb.sqlite", content: headers },
      ]),
    );
    expect(found.packages).toMatchObject({
      ...{ kind: "known", managers: ["apk", "rpm"], replaced: [{ name: "musl", before: "1", after: "2" }] },
      added: [{ name: "bash" }, { name: "shadow" }],
    });
  });

  test("a registry that gives the tables and refuses the database: the rest is known", async () => {
    const linux = await machineWithRepo({});
    const filled = (version: string) => [{ path: status, content: `${dpkgStatus(version)}\n${"x".repeat(9000)}\n` }];
    const layer = await buildChunkedLayer([{ path: "usr/" }, filler, ...filled("apt 2")]);
    const registry = await registryWith({ before: await chunked(filled("apt 1")), after: buildChunkedImage([layer]) });
    await pullFrom(linux, registry, "before");
    let asked = 0;
    const test = (path: string) => path.includes(layer.digest) && asked++ > 0;
    registry.faults.push({ path: Object.assign(/x/, { test }), status: 416 });
    const found = await planFrom(linux, registry, "after");
    expect(found).toMatchObject({ files: { kind: "known", changed: 1 }, packages: { kind: "unknown" } });
  });

  test("databases have their bytes together, and a layer cannot lend its size to another's", async () => {
    const before = await chunked([{ path: status, content: dpkgStatus("apt 1") }]);
    const large = Buffer.alloc(33 * 1024 * 1024);
    const files = ["a", "b"].map((name) => ({ path: `var/lib/dpkg/status.d/${name}`, content: large }));
    const both = await planned(before, await chunked(files, { chunkBytes: 1 << 24 }));
    expect(both.packages).toMatchObject({ kind: "unknown", reason: expect.stringMatching(/more than 64 MiB$/) });
    const content = dpkgStatus("apt 2").padEnd(200, "\n");
    const digest = sha256(Buffer.from(content));
    const changeToc: ChunkedOptions["changeToc"] = (toc) => ({
      ...toc,
      entries: (toc.entries ?? []).map((entry) => (entry.name === "usr/x" ? { ...entry, digest } : entry)),
    });
    const layers = await Promise.all([
      buildChunkedLayer([{ path: status, content }]),
      buildChunkedLayer([{ path: "usr/x", content: noise(3000, 3) }], { changeToc }),
    ]);
    expect((await planned(before, buildChunkedImage(layers))).packages).toEqual({
      ...{ kind: "unknown", reason: "Cannot read the package database: layers do not agree on its size" },
    });
  });

  test("what is not what the layer promises, cannot be read, or is too large, is not known", async () => {
    const before = await chunked([{ path: status, content: dpkgStatus("apt 1") }]);
    const reason = async (after: BuiltImage) => {
      const { packages } = await planned(before, after);
      return packages.kind === "unknown" ? packages.reason : "it is known";
    };
    const frameOf = (name: string, content: Uint8Array) =>
      name === status ? content.map((byte) => byte ^ 1) : content;
    const files = [{ path: status, content: dpkgStatus("apt 2") }];
    expect(await reason(await chunked(files, { frameOf }))).toMatch(/is not the one that the layer promises$/);
    expect(await reason(await chunked([{ path: "usr/share/rpm/rpmdb.sqlite", content: "x".repeat(300) }]))).toMatch(
      /^Cannot read the SQLite database: it is none$/,
    );
    expect(await reason(await chunked([{ path: "usr/share/rpm/Packages", content: "x".repeat(300) }]))).toBe(
      "nothing here reads /usr/share/rpm/Packages",
    );
    const large = Buffer.alloc(64 * 1024 * 1024 + 1);
    expect(await reason(await chunked([{ path: status, content: large }], { chunkBytes: 1 << 24 }))).toMatch(
      /more than 64 MiB$/,
    );
  });
});

test("planImage: an empty repo has nothing to compare with", async () => {
  const linux = await machineWithRepo({});
  const registry = await registryWith({ v1: v1Image });
  const nothing = { kind: "unknown", reason: "there is no image here to compare with" };
  expect(await planFrom(linux, registry, "v1")).toMatchObject({ base: null, files: nothing, packages: nothing });
});

test("planImage: a base whose tree is damaged is told", async () => {
  const linux = await machineWithRepo({});
  const registry = await registryWith({ v1: v1Image, v2: v2Image });
  const { rawImage } = await pull(systemOn(linux), {
    ...{ image: parseImageReference(`docker://${registry.host}/os:v1`), repo: repoOfSysroot },
    ...{ platform: linuxAmd64, source, bootable: false },
  });
  linux.files.unlink(fromText(`${repoOfSysroot}/objects/${rawImage.slice(0, 2)}/${rawImage.slice(2)}`));
  expect(await planFrom(linux, registry, "v2")).toMatchObject({ files: { kind: "unknown" }, newObjects: 3 });
});
