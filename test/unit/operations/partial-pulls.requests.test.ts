import { Readable } from "node:stream";
import { afterEach, expect, test } from "vitest";
import { parseDiffId, parseLayerDigest } from "../../../src/core/digest/oci-digest.ts";
import type { BlobRange, ImageSource, ResolvedLayer } from "../../../src/image-source/image-source.ts";
import { type Lane, openInlineLane } from "../../../src/operations/import-lane.ts";
import { LayerCounters } from "../../../src/operations/layer-feed.ts";
import { leastRequests, PartialPulls } from "../../../src/operations/partial-pulls.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { machineWithRepo, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { pullFrom, registryWith, stopRegistries, v1, v1Image } from "../../builders/partial-pull.ts";

afterEach(stopRegistries);

test("the tables of all layers of a pull have a budget: a layer whose do not fit in comes whole", async () => {
  const linux = await machineWithRepo({});
  const registry = await registryWith({ v1: v1Image });
  await pullFrom(linux, registry, "v1");
  const tables = 90 * 1024 * 1024;
  const key = "io.github.containers.zstd-chunked";
  const layers = Array.from({ length: 4 }, (_, number): ResolvedLayer => {
    const digest = `sha256:${String(number).repeat(64)}`;
    const annotations = new Map([
      [`${key}.manifest-checksum`, `sha256:${"0".repeat(64)}`],
      [`${key}.manifest-position`, `10000:100:100:1`],
      [`${key}.tarsplit-position`, `10108:${tables}:${tables}`],
    ]);
    return {
      ...{ mediaType: "", compression: "zstd", annotations, sizeBytes: 10_108 + tables + 72 },
      ...{ digest: parseLayerDigest(digest), diffId: parseDiffId(digest) },
    };
  });
  const asked: string[] = [];
  const source = {
    bundle: () => undefined,
    registry: () => undefined,
    readBlobRange(blob: ResolvedLayer, { lengthBytes }: BlobRange) {
      asked.push(blob.digest);
      return Readable.from([new Uint8Array(lengthBytes)]);
    },
  } as unknown as ImageSource;
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  const run = new StagingRun(repo);
  const partial = new PartialPulls(systemOn(linux), repo, { source, layers, imageLayers: [], damaged: new Set(), run });
  await partial.prepare([openInlineLane(linux.files, run.newStagingOptions())]);
  expect(layers.map((layer) => partial.mayServe(layer))).toEqual([true, true, false, false]);
  expect(asked).toEqual(layers.slice(0, 2).map(({ digest }) => digest));
  run.close();
  repo.close();
});

test("layers that come whole after all, and asked for nothing, give back what they might have asked for", async () => {
  const linux = await machineWithRepo({});
  await pullFrom(linux, await registryWith({ v1: v1Image }), "v1");
  const { annotations } = v1;
  const layers = Array.from({ length: 4 }, (_, number): ResolvedLayer => {
    const digest = `sha256:${String(number).repeat(64)}`;
    return {
      ...{ mediaType: "", compression: "zstd", annotations: new Map(Object.entries(annotations)) },
      ...{ sizeBytes: v1.blob.length, digest: parseLayerDigest(digest), diffId: parseDiffId(digest) },
    };
  });
  const readBlobRange = (_: unknown, { lengthBytes }: BlobRange) => Readable.from([new Uint8Array(lengthBytes)]);
  const source = { bundle: () => undefined, registry: () => undefined, readBlobRange } as unknown as ImageSource;
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  const run = new StagingRun(repo);
  const partial = new PartialPulls(systemOn(linux), repo, { source, layers, imageLayers: [], damaged: new Set(), run });
  const lane = openInlineLane(linux.files, run.newStagingOptions());
  await partial.prepare([lane]);
  const allowed: number[] = [];
  const planPartial: Lane["planPartial"] = async ({ costs }) => {
    allowed.push(costs.requests);
    return { kind: "whole", problem: undefined, distrusted: [] };
  };
  const control = { halted: new AbortController().signal, progress: new LayerCounters(), onWhole: () => {} };
  for (const layer of layers) await partial.importLayer(layer, { ...lane, planPartial }, control);
  expect(allowed).toEqual([96, 96, 96, 96]);
  run.close();
  repo.close();
});

test("leastRequests: what is left for any of so many layers", () => {
  expect([0, 1, 2, 3, 4, 5, 6, 200].map(leastRequests)).toEqual([96, 96, 92, 46, 23, 11, 8, 8]);
});
