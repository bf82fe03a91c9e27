import { afterEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { readDirectoryIfExists } from "../../../src/repo/object-listing.ts";
import {
  buildChunkedImage,
  buildChunkedLayer,
  type ChunkedLayer,
  type ChunkedOptions,
  noise,
  type TarSplitFields,
  type TocDocument,
  type TocFields,
} from "../../builders/chunked-layer.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { sha256 } from "../../builders/oci-layer.ts";
import { machineWithRepo, objectsInRepo, repoOfSysroot } from "../../builders/operation-machine.ts";
import {
  chunks,
  expectHealthy,
  indexNames,
  layerStreams,
  pullFrom,
  registryWith,
  stopRegistries,
  v1,
  v1Files,
  v1Image,
  v2,
  v2Files,
  v2Image,
  wholePull,
} from "../../builders/partial-pull.ts";
import type { FakeRegistryOptions, Fault } from "../../fakes/fake-registry.ts";

afterEach(stopRegistries);

describe("a pull of a zstd:chunked image", () => {
  test("fetches it whole, by one request, when the repo holds nothing", async () => {
    const linux = await machineWithRepo({});
    const pulled = await pullFrom(linux, await registryWith({ v1: v1Image }), "v1");
    expect(pulled).toMatchObject({ layerBytes: v1.blob.length, requests: 1, warnings: [] });
    expect(indexNames(linux)).toEqual([v1.diffId.replace(":", "-")]);
    await expectHealthy(linux);
  });

  test("fetches only what is new of an upgrade, and gives the same splitstream and root image as a whole pull", async () => {
    const linux = await machineWithRepo({});
    const registry = await registryWith({ v1: v1Image, v2: v2Image });
    await pullFrom(linux, registry, "v1");
    const pulled = await pullFrom(linux, registry, "v2");
    const whole = await wholePull(v2Image);
    expect(pulled.rawImage).toBe(whole.rawImage);
    expect(layerStreams(linux)).toEqual(expect.arrayContaining([...whole.streams]));
    expect(pulled.warnings).toEqual([]);
    // New are 90 000 bytes, once although they stand there twice, 40 000 of a file in parts, a large file, and a few.
    const frames = 90_000 + 40_000 + 15 + 1_200_000;
    expect(pulled.layerBytes - v2.tableBytes).toBeGreaterThan(frames);
    expect(pulled.layerBytes - v2.tableBytes).toBeLessThan(frames + 5_000);
    await expectHealthy(linux);
  });

  test("fetches the tables of contents and a few bytes when all else is here", async () => {
    const rebuilt = await buildChunkedLayer(
      v1Files.map((file) => ({ ...file, mtime: 7 })),
      chunks,
    );
    const linux = await machineWithRepo({});
    const registry = await registryWith({ v1: v1Image, v3: buildChunkedImage([rebuilt]) });
    await pullFrom(linux, registry, "v1");
    const pulled = await pullFrom(linux, registry, "v3");
    expect(pulled).toMatchObject({ layerBytes: rebuilt.tableBytes, requests: 1, warnings: [] });
    expect(pulled.rawImage).toBe((await wholePull(buildChunkedImage([rebuilt]))).rawImage);
    // The index was written for what came in parts, too: the next pull needs no more.
    expect(indexNames(linux)).toHaveLength(2);
    await expectHealthy(linux);
  });

  test.each(["gzip", "zstd", "none"] as const)(
    "finds the contents of an image that came as %s",
    async (compression) => {
      const linux = await machineWithRepo({});
      const plain = await buildImage({ layers: [v1Files], compression });
      const registry = await registryWith({ v1: plain, v2: v2Image });
      await pullFrom(linux, registry, "v1");
      expect(indexNames(linux)).toEqual([]);
      const pulled = await pullFrom(linux, registry, "v2");
      // A file that is here in parts only is not found in them: nobody has said where they begin.
      const frames = 90_000 + 80_000 + 15 + 1_200_000;
      expect(pulled.layerBytes - v2.tableBytes).toBeGreaterThan(frames);
      expect(pulled.layerBytes - v2.tableBytes).toBeLessThan(frames + 5_000);
      expect(pulled.rawImage).toBe((await wholePull(v2Image)).rawImage);
      await expectHealthy(linux);
    },
  );

  test("works again when the index was lost or is damaged", async () => {
    const linux = await machineWithRepo({});
    const registry = await registryWith({ v1: v1Image, v2: v2Image });
    await pullFrom(linux, registry, "v1");
    const [name] = indexNames(linux);
    const path = fromText(`${repoOfSysroot}/content-index/${name}`);
    const bytes = Uint8Array.from(linux.files.readFile(path, 1 << 20));
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    linux.files.unlink(path);
    linux.files.writeNewFile(path, bytes, 0o644);
    const pulled = await pullFrom(linux, registry, "v2");
    expect(pulled.layerBytes).toBeLessThan(v2.blob.length / 2);
    await expectHealthy(linux);
  });

  test("fetches it whole when nearly all of it is new", async () => {
    const other = await buildChunkedLayer([{ path: "usr/" }, { path: "usr/a", content: noise(300_000, 77) }]);
    const linux = await machineWithRepo({});
    const registry = await registryWith({ v1: v1Image, v2: buildChunkedImage([other]) });
    await pullFrom(linux, registry, "v1");
    const pulled = await pullFrom(linux, registry, "v2");
    expect(pulled).toMatchObject({ layerBytes: other.blob.length + other.tableBytes, warnings: [] });
    await expectHealthy(linux);
  });

  test("fetches it whole, and mends the repo, when an object that it needs is damaged", async () => {
    const linux = await machineWithRepo({}, { verity: false });
    const registry = await registryWith({ v1: v1Image, v2: v2Image });
    await pullFrom(linux, registry, "v1");
    for (const id of objectsInRepo(linux)) {
      const path = fromText(`${repoOfSysroot}/objects/${id.slice(0, 2)}/${id.slice(2)}`);
      if (linux.files.lstat(path).sizeBytes !== 30_000) continue;
      linux.files.unlink(path);
      linux.files.writeNewFile(path, new Uint8Array(29_999), 0o644);
    }
    const pulled = await pullFrom(linux, registry, "v2");
    expect(pulled.warnings).toEqual([expect.stringContaining("fetched whole")]);
    expect(pulled.repaired).toHaveLength(1);
    await expectHealthy(linux);
  });
});

describe("a registry that does not give parts", () => {
  test.each([
    ["ignores ranges", { ignoreRange: true }],
    ["answers 416", { faults: [{ path: /blobs/, status: 416, times: 0 }] }],
  ])("is asked for the whole layer when it %s", async (_, options) => {
    const linux = await machineWithRepo({});
    const registry = await registryWith({ v1: v1Image, v2: v2Image }, options as FakeRegistryOptions);
    await pullFrom(linux, registry, "v1");
    const [fault] = registry.faults;
    if (fault !== undefined) Object.assign(fault, { times: 1, path: new RegExp(v2.digest) });
    const pulled = await pullFrom(linux, registry, "v2");
    expect(pulled.warnings).toEqual([expect.stringContaining("fetched whole")]);
    expect(pulled.rawImage).toBe((await wholePull(v2Image)).rawImage);
    await expectHealthy(linux);
  });
});

test("a registry that gives no parts of one layer is asked for none of the next", async () => {
  const other = await buildChunkedLayer([{ path: "usr/" }, { path: "usr/other", content: noise(600_000, 21) }], chunks);
  const linux = await machineWithRepo({});
  const registry = await registryWith({ v1: v1Image, both: buildChunkedImage([v2, other]) });
  await pullFrom(linux, registry, "v1");
  registry.faults.push({ path: new RegExp(`${v2.digest}|${other.digest}`), status: 416, times: 2 });
  const pulled = await pullFrom(linux, registry, "both");
  expect(pulled.warnings).toEqual([expect.stringContaining(`Layer ${v2.digest} cannot come in parts`)]);
  expect(pulled.rawImage).toBe((await wholePull(buildChunkedImage([v2, other]))).rawImage);
});

test("a registry that cannot be reached any more ends the pull: nothing is asked for as a whole", async () => {
  const linux = await machineWithRepo({});
  const registry = await registryWith({ v1: v1Image, v2: v2Image });
  await pullFrom(linux, registry, "v1");
  registry.faults.push({ path: new RegExp(v2.digest), status: 503 });
  await expect(pullFrom(linux, registry, "v2")).rejects.toMatchObject({ code: "network" });
  const asked = registry.requests.filter(({ path }) => path.includes(v2.digest));
  expect(asked.length).toBeGreaterThan(0);
  expect(asked.filter(({ range }) => range === undefined)).toEqual([]);
  await expectHealthy(linux);
});

/** A fault of requests for a layer's ranges, but not of that for its tables, which comes first. */
function faultOfRanges(digest: string, fault: Omit<Fault, "path">): Fault {
  let asked = 0;
  return { ...fault, path: Object.assign(/x/, { test: (path: string) => path.includes(digest) && asked++ > 0 }) };
}

test("a partial pull that was stopped goes on with the bytes that it had, and leaves none of them", async () => {
  const linux = await machineWithRepo({});
  const registry = await registryWith({ v1: v1Image, v2: v2Image });
  await pullFrom(linux, registry, "v1");
  // Each request for the last and largest range gets a part of it; the others are small and come before.
  registry.faults.push(faultOfRanges(v2.digest, { dropAfterBytes: 500_000 }));
  await expect(pullFrom(linux, registry, "v2")).rejects.toMatchObject({ code: "network" });
  const staging = fromText(`${repoOfSysroot}/staging`);
  const kept = readDirectoryIfExists(linux.files, staging);
  expect(kept.length).toBeGreaterThan(0);
  const keptFiles = kept.flatMap((name) =>
    linux.files.readDirectory(fromText(`${staging}/${name}`)).map((part) => fromText(`${staging}/${name}/${part}`)),
  );
  const keptBytes = keptFiles.reduce((sum, path) => sum + linux.files.lstat(path).sizeBytes, 0);
  expect(keptBytes).toBeGreaterThan(500_000);
  registry.faults.length = 0;
  const pulled = await pullFrom(linux, registry, "v2");
  expect(pulled.warnings).toEqual([]);
  const all = 90_000 + 40_000 + 15 + 1_200_000 + v2.tableBytes;
  // But for the frames' own bytes, and gaps.
  expect(pulled.layerBytes).toBeLessThan(all - keptBytes + 2_000);
  expect(pulled.rawImage).toBe((await wholePull(v2Image)).rawImage);
  await expectHealthy(linux);
});

test("a range that was kept and is damaged since is fetched once more, and no more than that", async () => {
  const linux = await machineWithRepo({});
  const registry = await registryWith({ v1: v1Image, v2: v2Image });
  await pullFrom(linux, registry, "v1");
  registry.faults.push(faultOfRanges(v2.digest, { dropAfterBytes: 500_000 }));
  await expect(pullFrom(linux, registry, "v2")).rejects.toMatchObject({ code: "network" });
  const staging = fromText(`${repoOfSysroot}/staging`);
  for (const name of readDirectoryIfExists(linux.files, staging)) {
    const parts = linux.files.readDirectory(fromText(`${staging}/${name}`));
    for (const part of parts) linux.damage(fromText(`${staging}/${name}/${part}`), 50);
  }
  registry.faults.length = 0;
  const pulled = await pullFrom(linux, registry, "v2");
  expect(pulled.warnings).toEqual([]);
  expect(pulled.rawImage).toBe((await wholePull(v2Image)).rawImage);
  await expectHealthy(linux);
});

/** Changes the entry of a file in a table of contents. */
function lieAbout(name: string, change: (fields: TocFields) => TocFields): ChunkedOptions {
  const entries = (toc: TocDocument) =>
    (toc.entries ?? []).map((entry) => (entry.name === name ? change(entry) : entry));
  return { ...chunks, changeToc: (toc) => ({ ...toc, entries: entries(toc) }) };
}

function changeLine(change: (line: TarSplitFields, index: number) => TarSplitFields): ChunkedOptions {
  return { ...chunks, changeTarSplit: (lines) => lines.map(change) };
}

const zeros = "0".repeat(64);

describe("a registry whose tables lie", () => {
  const lies: readonly (readonly [string, ChunkedOptions])[] = [
    ["about the digest of a file", lieAbout("usr/first", (entry) => ({ ...entry, digest: `sha256:${zeros}` }))],
    [
      "that a new file is an old one",
      lieAbout("usr/first", (entry) => ({ ...entry, size: 30_000, ...digestIn(v1, "usr/medium"), ...noChunks })),
    ],
    ["about a digest that is none", lieAbout("usr/new", (entry) => ({ ...entry, digest: "sha256:xyz" }))],
    ["about a size", lieAbout("usr/new", (entry) => ({ ...entry, size: 16 }))],
    ["about a size beyond all numbers", lieAbout("usr/new", (entry) => ({ ...entry, size: 2 ** 60 }))],
    ["about a frame behind the data", lieAbout("usr/new", (entry) => ({ ...entry, endOffset: 2 ** 50 }))],
    ["about where a frame is", lieAbout("usr/new", (entry) => ({ ...entry, offset: (entry.offset ?? 0) - 40 }))],
    ["about a name", lieAbout("usr/medium", (entry) => ({ ...entry, name: "usr/other" }))],
    ["about a chunk", lieAbout("usr/parts", (entry) => ({ ...entry, chunkDigest: `sha256:${zeros}` }))],
    ["that data are zeros", lieAbout("usr/parts", (entry) => ({ ...entry, chunkType: "zeros" }))],
    ["about their version", { ...chunks, changeToc: (toc) => ({ ...toc, version: 2 }) }],
    ["about the tar-split", { ...chunks, changeToc: (toc) => ({ ...toc, tarSplitDigest: `sha256:${zeros}` }) }],
    [
      "by leaving out an entry",
      { ...chunks, changeToc: (toc) => ({ ...toc, entries: toc.entries?.slice(0, -3) ?? [] }) },
    ],
    [
      "by adding an entry",
      { ...chunks, changeToc: (toc) => ({ ...toc, entries: [...(toc.entries ?? []), { type: "dir", name: "x" }] }) },
    ],
    ["by being no JSON", { ...chunks, changeTarSplit: (lines) => [...lines, { type: 7, position: lines.length }] }],
    ["about a header", changeLine((line, index) => (index === 0 ? { ...line, payload: otherHeader(line) } : line))],
    ["by a header cut in two", { ...chunks, changeTarSplit: cutFirstSegment }],
    [
      "about a size in the tar-split",
      changeLine((line) => (line.name === "usr/medium" ? { ...line, size: 30_001 } : line)),
    ],
    ["about their own digest", { ...chunks, changeAnnotations: (all) => ({ ...all, ...checksum(`sha256:${zeros}`) }) }],
    ["about their own size", { ...chunks, changeAnnotations: (all) => mapPosition(all, (size) => size + 1) }],
  ];

  test.each(lies)("%s brings nothing but the right layer into the repo", async (_, options) => {
    const lying = buildChunkedImage([await buildChunkedLayer(v2Files, options)]);
    const linux = await machineWithRepo({});
    const registry = await registryWith({ v1: v1Image, v2: lying });
    await pullFrom(linux, registry, "v1");
    const pulled = await pullFrom(linux, registry, "v2");
    expect(pulled.warnings).toEqual([expect.stringContaining("fetched whole")]);
    expect(pulled.rawImage).toBe((await wholePull(v2Image)).rawImage);
    await expectHealthy(linux);
  });

  test("about contents of an image that is here costs one whole pull, and is forgotten then", async () => {
    // The first image says that the content of usr/old is what the second one has in usr/first.
    const digest = digestIn(v2, "usr/twin").digest;
    const liar = await buildChunkedLayer(
      v1Files.map((file) => (file.path === "usr/old" ? { ...file, content: noise(90_000, 5) } : file)),
      lieAbout("usr/old", (entry) => ({ ...entry, digest })),
    );
    const linux = await machineWithRepo({});
    const rebuilt = buildChunkedImage([
      await buildChunkedLayer(
        v2Files.map((file) => ({ ...file, mtime: 9 })),
        chunks,
      ),
    ]);
    const registry = await registryWith({ v1: buildChunkedImage([liar]), v2: v2Image, v3: rebuilt });
    await pullFrom(linux, registry, "v1");
    const pulled = await pullFrom(linux, registry, "v2");
    expect(pulled.warnings).toEqual([expect.stringContaining("fetched whole")]);
    expect(pulled.rawImage).toBe((await wholePull(v2Image)).rawImage);
    expect(indexNames(linux)).toEqual([v2.diffId.replace(":", "-")]);
    expect((await pullFrom(linux, registry, "v3")).warnings).toEqual([]);
    await expectHealthy(linux);
  });

  test("by a frame with other bytes is an error that names the layer, as the blob is not what its digest says", async () => {
    const options = {
      ...chunks,
      frameOf: (name: string, bytes: Uint8Array) => (name === "usr/first" ? noise(bytes.length, 99) : bytes),
    };
    const lying = await buildChunkedLayer(v2Files, options);
    const linux = await machineWithRepo({});
    const registry = await registryWith({ v1: v1Image, v2: buildChunkedImage([lying]) });
    await pullFrom(linux, registry, "v1");
    await expect(pullFrom(linux, registry, "v2")).rejects.toThrow(
      /Cannot use layer sha256:[0-9a-f]+: its tar measures to/,
    );
    await expectHealthy(linux);
  });
});

function digestIn(layer: ChunkedLayer, name: string): { readonly digest: string } {
  const file = [...v1Files, ...v2Files].find(({ path }) => path === name);
  if (file?.content === undefined || layer.tar.length === 0) throw new Error(`there is a file ${name}`);
  return { digest: sha256(typeof file.content === "string" ? Buffer.from(file.content) : file.content) };
}

const noChunks = { chunkDigest: undefined, chunkSize: undefined, chunkOffset: undefined } as unknown as TocFields;

function checksum(digest: string): Record<string, string> {
  return { "io.github.containers.zstd-chunked.manifest-checksum": digest };
}

function mapPosition(all: Record<string, string>, change: (unpacked: number) => number): Record<string, string> {
  const key = "io.github.containers.zstd-chunked.manifest-position";
  const [offset, length, unpacked, type] = (all[key] ?? "").split(":");
  return { ...all, [key]: `${offset}:${length}:${change(Number(unpacked))}:${type}` };
}

function otherHeader(line: TarSplitFields): string {
  const bytes = Buffer.from(line.payload ?? "", "base64");
  bytes[300] = (bytes[300] ?? 0) ^ 1;
  return bytes.toString("base64");
}

function cutFirstSegment([first, ...rest]: TarSplitFields[]): TarSplitFields[] {
  const bytes = Buffer.from(first?.payload ?? "", "base64");
  const halves = [bytes.subarray(0, 100), bytes.subarray(100)].map((half) => ({
    type: 2,
    payload: half.toString("base64"),
  }));
  return [...halves, ...rest].map((line, position) => ({ ...line, position }));
}
