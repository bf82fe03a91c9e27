import { describe, expect, test } from "vitest";
import { fromText, toText } from "../../../src/core/bytes/byte-string.ts";
import { parseDiffId, parseLayerDigest } from "../../../src/core/digest/oci-digest.ts";
import type { Compression } from "../../../src/core/oci/media-type.ts";
import { systemCallError } from "../../../src/linux/errno.ts";
import {
  defaultLayerLimits,
  type ImportedLayer,
  LayerImport,
  type LayerToImport,
} from "../../../src/repo/layer-import.ts";
import { ObjectStaging } from "../../../src/repo/object-staging.ts";
import { publish } from "../../../src/repo/publish.ts";
import type { WritableRepo } from "../../../src/repo/repo.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { layerStreamName, readLayer, readSplitstreamObject, readStream } from "../../../src/repo/streams.ts";
import { type BuiltLayer, buildLayer, type LayerFile, sha256 } from "../../builders/oci-layer.ts";
import { content, idOf, makeRepo, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const small = content(64);
const medium = content(65, 1);
const whole = content(200_000, 2);
const streamed = content(1_500_000, 3);

const files: readonly LayerFile[] = [
  { path: "usr/" },
  { path: "usr/small", content: small },
  { path: "usr/medium", content: medium },
  { path: "usr/whole", content: whole },
  { path: "usr/streamed", content: streamed },
  { path: "usr/again", content: whole },
  { path: "usr/link", symlink: "small" },
];

function toImport(layer: BuiltLayer, compression: Compression, changes: Partial<LayerToImport> = {}): LayerToImport {
  return {
    digest: parseLayerDigest(layer.digest),
    sizeBytes: layer.blob.length,
    diffId: parseDiffId(layer.diffId),
    compression,
    ...changes,
  };
}

/** Pushes `blob` through one import, in pieces of `pieceBytes`. */
function importLayer(
  repo: WritableRepo,
  layer: LayerToImport,
  input: { readonly blob: Uint8Array; readonly pieceBytes?: number },
): ImportedLayer {
  const run = new StagingRun(repo);
  const staging = new ObjectStaging(repo.files, run.newStagingOptions());
  const work = new LayerImport(repo.files, staging, layer);
  try {
    const pieceBytes = input.pieceBytes ?? 128 * 1024;
    for (let at = 0; at < input.blob.length; at += pieceBytes) work.write(input.blob.subarray(at, at + pieceBytes));
    const imported = work.finish();
    publish(repo, { objects: imported.objects, streams: [imported.stream], rootImages: [] });
    return imported;
  } finally {
    work.close();
    run.close();
  }
}

function withFreshRepo<T>(use: (repo: WritableRepo, linux: FakeLinux) => T): T {
  const linux = new FakeLinux();
  makeRepo(linux, { secure: false });
  return withRepo(linux, "write", (repo) => use(repo, linux));
}

/** What is wrong with a layer, as the error that its import ends with. */
function failure(layer: LayerToImport, blob: Uint8Array): unknown {
  return withFreshRepo((repo, linux) => {
    try {
      importLayer(repo, layer, { blob });
    } catch (error) {
      expect(linux.files.readDirectory(fromText("/repo/staging"))).toEqual([]);
      expect(linux.files.readDirectory(fromText("/repo/objects"))).toEqual([]);
      expect(linux.openPaths).toEqual(["/repo"]);
      return error;
    }
    throw new Error("the import should have failed");
  });
}

describe.each(["none", "gzip", "zstd"] as const)("LayerImport of %s", (compression) => {
  test("LayerImport: the tar comes back bit for bit, large files as objects", async () => {
    const layer = await buildLayer(files, compression);
    withFreshRepo((repo) => {
      const imported = importLayer(repo, toImport(layer, compression), { blob: layer.blob });
      expect(imported.tarBytes).toBe(layer.tar.length);
      expect(imported.stats).toMatchObject({ entries: 7, files: 4, knownFiles: 0 });
      expect(imported.stream.name).toBe(layerStreamName(parseDiffId(layer.diffId)));
      const stream = readStream(repo, imported.stream.name);
      expect(stream.objectRefs).toEqual([medium, whole, streamed].map(idOf));
      const pieces = [...stream.records()].map((record) =>
        record.kind === "inline"
          ? record.bytes
          : repo.files.readFile(fromText(`/repo/objects/${record.id.slice(0, 2)}/${record.id.slice(2)}`), 2_000_000),
      );
      expect(sha256(Buffer.concat(pieces))).toBe(layer.diffId);
      expect(Number(stream.sizeBytes)).toBe(layer.tar.length);
    });
  });

  test("LayerImport: a cut off layer is a digest-mismatch that says how many bytes came", async () => {
    const layer = await buildLayer(files, compression);
    const error = failure(toImport(layer, compression), layer.blob.subarray(0, 1000));
    expect(error).toMatchObject({
      code: "digest-mismatch",
      message: expect.stringContaining(`only 1000 of its ${layer.blob.length} bytes came`),
      facts: { layer: layer.digest, bytes: 1000 },
    });
  });

  test("LayerImport: a layer of the right digest is not the one of a descriptor with another size", async () => {
    const layer = await buildLayer(files, compression);
    const error = failure(toImport(layer, compression, { sizeBytes: layer.blob.length + 1 }), layer.blob);
    expect(error).toMatchObject({ code: "digest-mismatch", message: expect.stringContaining("bytes came") });
  });

  test("LayerImport: a changed byte is a digest-mismatch, however it shows in the content", async () => {
    const layer = await buildLayer(files, compression);
    for (const at of [3, 200, layer.blob.length >> 1, layer.blob.length - 2]) {
      const blob = Uint8Array.from(layer.blob);
      blob[at] = (blob[at] ?? 0) ^ 0x55;
      expect(failure(toImport(layer, compression), blob)).toMatchObject({ code: "digest-mismatch" });
    }
  });

  test("LayerImport: another tar than the config promises is a digest-mismatch", async () => {
    const layer = await buildLayer(files, compression);
    const other = parseDiffId(`sha256:${"0".repeat(64)}`);
    const error = failure(toImport(layer, compression, { diffId: other }), layer.blob);
    expect(error).toMatchObject({ code: "digest-mismatch", message: expect.stringContaining(layer.diffId) });
  });
});

describe("LayerImport", () => {
  test.each([1000, 4097, 10_000_000])("LayerImport: pieces of %d bytes give the same entries", async (pieceBytes) => {
    const layer = await buildLayer(files, "zstd");
    withFreshRepo((repo) => {
      importLayer(repo, toImport(layer, "zstd"), { blob: layer.blob, pieceBytes });
      const entries = readLayer(repo, parseDiffId(layer.diffId));
      expect(entries.map(({ kind, path }) => `${kind} ${toText(path)}`)).toEqual([
        "directory usr",
        "regular usr/small",
        "regular usr/medium",
        "regular usr/whole",
        "regular usr/streamed",
        "regular usr/again",
        "symlink usr/link",
      ]);
    });
  });

  test("LayerImport: files that do not fit into the rest of the window come back whole", async () => {
    const contents = [0, 1, 2, 3, 4, 5].map((seed) => content(700_000 + 1013 * seed, seed));
    const layer = await buildLayer(
      contents.map((bytes, index) => ({ path: `file${index}`, content: bytes })),
      "none",
    );
    withFreshRepo((repo) => {
      const imported = importLayer(repo, toImport(layer, "none"), { blob: layer.blob, pieceBytes: 300_000 });
      expect(readStream(repo, imported.stream.name).objectRefs).toEqual(contents.map(idOf));
      expect(imported.stats.entries).toBe(6);
    });
  });

  test("LayerImport: sha512 digests are measured with sha512", async () => {
    const layer = await buildLayer(files, "gzip");
    const digest = parseLayerDigest(`sha512:${"1".repeat(128)}`);
    const error = failure(toImport(layer, "gzip", { digest }), layer.blob);
    expect(error).toMatchObject({ message: expect.stringContaining("its bytes measure to sha512:") });
  });

  test("LayerImport: more bytes than the descriptor says end it at once", async () => {
    const layer = await buildLayer(files, "gzip");
    const error = failure(toImport(layer, "gzip", { sizeBytes: 1000 }), layer.blob);
    expect(error).toMatchObject({
      code: "digest-mismatch",
      message: expect.stringContaining("more than its 1000 bytes"),
    });
  });

  test.each(["none", "gzip", "zstd"] as const)(
    "LayerImport: %s under the media type of another",
    async (compression) => {
      const layer = await buildLayer(files, compression);
      for (const promised of ["none", "gzip", "zstd"] as const) {
        withFreshRepo((repo) => {
          const { tarBytes } = importLayer(repo, toImport(layer, promised), { blob: layer.blob, pieceBytes: 1000 });
          expect(tarBytes).toBe(layer.tar.length);
        });
      }
    },
  );

  test("LayerImport: a layer of the right digest that is no tar is bad-format", () => {
    const blob = content(10_000);
    const layer = { tar: blob, diffId: sha256(blob), blob, digest: sha256(blob), mediaType: "" };
    const named = (why: string) => ({
      code: "bad-format",
      message: expect.stringMatching(`^Cannot use layer ${layer.digest}: ${why}`),
    });
    expect(failure(toImport(layer, "none"), blob)).toMatchObject(named("Cannot read tar header: its"));
    expect(failure(toImport(layer, "gzip"), blob)).toMatchObject(named("Cannot decompress the gzip stream: incorrect"));
  });

  test("LayerImport: a tar without end is bad-format", async () => {
    const { tar } = await buildLayer(files, "none");
    const blob = tar.subarray(0, 2048);
    const layer = { tar: blob, diffId: sha256(blob), blob, digest: sha256(blob), mediaType: "" };
    expect(failure(toImport(layer, "none"), blob)).toMatchObject({ code: "bad-format" });
  });

  test.each(["gzip", "zstd"] as const)("LayerImport: %s that lacks only its end is bad-format", async (compression) => {
    const layer = await buildLayer(files, compression);
    const blob = layer.blob.subarray(0, -1);
    const error = failure(toImport({ ...layer, blob, digest: sha256(blob) }, compression), blob);
    expect(error).toMatchObject({ code: "bad-format" });
  });

  test("LayerImport: what is no tar is not read on, however much of it comes", () => {
    const blob = content(6_000_000, 4);
    const layer = { tar: blob, diffId: sha256(blob), blob, digest: sha256(blob), mediaType: "" };
    expect(failure(toImport(layer, "none"), blob)).toMatchObject({
      code: "bad-format",
      message: expect.stringContaining("Cannot read tar header: its"),
    });
  });

  test("LayerImport: bytes that are not the layer's are told as that, whatever they look like", async () => {
    const digest = parseLayerDigest(`sha256:${"0".repeat(64)}`);
    const { tar } = await buildLayer([{ path: "a", content: "" }], "none");
    const unknown = Buffer.from(tar);
    unknown.write("Z", 156);
    const sum = unknown
      .subarray(0, 512)
      .fill(" ", 148, 156)
      .reduce((total, byte) => total + byte, 0);
    unknown.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    const layer = { tar: unknown, diffId: sha256(unknown), blob: unknown, digest: sha256(unknown), mediaType: "" };
    expect(failure(toImport(layer, "none"), unknown)).toMatchObject({ code: "unsupported" });
    expect(failure(toImport(layer, "none", { digest }), unknown)).toMatchObject({ code: "digest-mismatch" });
    const limits = { ...defaultLayerLimits, tarBytes: 1000 };
    const small = { ...layer, tar, blob: tar, diffId: sha256(tar), digest: sha256(tar) };
    expect(failure(toImport(small, "none", { limits }), tar)).toMatchObject({ code: "limit-exceeded" });
    expect(failure(toImport(small, "none", { limits, digest }), tar)).toMatchObject({ code: "digest-mismatch" });
  });

  test("LayerImport: a bomb ends at the ratio, an honest layer of the same size does not", async () => {
    const layer = await buildLayer([{ path: "zeros", content: new Uint8Array(8_000_000) }], "zstd");
    const limits = { ...defaultLayerLimits, freeBytes: 1_000_000 };
    expect(failure(toImport(layer, "zstd", { limits }), layer.blob)).toMatchObject({ code: "limit-exceeded" });
    const most = { ...defaultLayerLimits, tarBytes: 7_000_000 };
    expect(failure(toImport(layer, "zstd", { limits: most }), layer.blob)).toMatchObject({ code: "limit-exceeded" });
    withFreshRepo((repo) => importLayer(repo, toImport(layer, "zstd"), { blob: layer.blob }));
  });

  test("LayerImport: the limits of the tar hold", async () => {
    const layer = await buildLayer(files, "gzip");
    const limits = { ...defaultLayerLimits, tar: { ...defaultLayerLimits.tar, entries: 3 } };
    expect(failure(toImport(layer, "gzip", { limits }), layer.blob)).toMatchObject({ code: "limit-exceeded" });
  });

  test("LayerImport: an error of the disk ends it at once, and is not taken for the layer's fault", async () => {
    const layer = await buildLayer(files, "gzip");
    withFreshRepo((repo) => {
      const run = new StagingRun(repo);
      const full = {
        ...repo.files,
        writeNewFile: (path: typeof repo.path) => {
          throw systemCallError({ verb: "write", path }, "ENOSPC");
        },
      };
      const staging = new ObjectStaging(full, run.newStagingOptions());
      const work = new LayerImport(full, staging, toImport(layer, "gzip"));
      expect(() => work.write(layer.blob)).toThrow(expect.objectContaining({ code: "no-space" }));
      work.close();
      run.close();
    });
  });

  test("LayerImport: closing after an error within a streamed file removes it", async () => {
    const layer = await buildLayer(files, "none");
    const { openPaths, left } = withFreshRepo((repo, linux) => {
      const run = new StagingRun(repo);
      const options = run.newStagingOptions();
      const work = new LayerImport(repo.files, new ObjectStaging(repo.files, options), toImport(layer, "none"));
      work.write(layer.blob.subarray(0, 1_000_000));
      work.close();
      const left = linux.files.readDirectory(options.directory);
      run.close();
      return { openPaths: linux.openPaths, left };
    });
    expect({ openPaths, left }).toEqual({ openPaths: ["/repo"], left: [] });
  });

  test("LayerImport: one staging serves several layers, and its results can be cloned", async () => {
    const first = await buildLayer(files, "gzip");
    const second = await buildLayer([{ path: "other", content: whole }], "zstd");
    withFreshRepo((repo) => {
      const run = new StagingRun(repo);
      const staging = new ObjectStaging(repo.files, run.newStagingOptions());
      const results = (
        [
          ["gzip", first],
          ["zstd", second],
        ] as const
      ).map(([compression, layer]) => {
        const work = new LayerImport(repo.files, staging, structuredClone(toImport(layer, compression)));
        work.write(layer.blob);
        const imported = work.finish();
        work.close();
        return structuredClone(imported);
      });
      expect(results.map(({ objects }) => objects.length)).toEqual([4, 1]);
      publish(repo, {
        objects: results.flatMap(({ objects }) => objects),
        streams: results.map(({ stream }) => stream),
        rootImages: [],
      });
      run.close();
      const [, id] = results.map(({ stream }) => stream.id);
      expect(readSplitstreamObject(repo, id ?? idOf(small)).objectRefs).toEqual([idOf(whole)]);
    });
  });
});
