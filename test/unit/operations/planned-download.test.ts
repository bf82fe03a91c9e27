import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { isWorthParts, planPartialPull, weighGaps } from "../../../src/core/oci/plan-partial-pull.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { ChunkedTables } from "../../../src/core/oci/zstd-chunked-tables.ts";
import type { ResolvedLayer } from "../../../src/image-source/image-source.ts";
import { requestsInFlight } from "../../../src/operations/fetch-ranges.ts";
import { layerRequests } from "../../../src/operations/partial-pulls.ts";
import { type PlanImageResult, planImage } from "../../../src/operations/plan-image.ts";
import { planDownload } from "../../../src/operations/planned-download.ts";
import type { FoundContent } from "../../../src/repo/content-table.ts";
import { base, bootable, bring, bundle, host, images, many, switchToBundle, top } from "../../builders/bundles.ts";
import { buildChunkedImage, buildChunkedLayer, noise } from "../../builders/chunked-layer.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { bareEnvironment } from "../../builders/oci-source.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  machineWith,
  machineWithRepo,
  noLogin,
  pullTag,
  repoOfSysroot,
  switchTo,
  systemOn,
} from "../../builders/operation-machine.ts";
import { pullFrom, registryWith, stopRegistries, v1Image, v2, v2Image } from "../../builders/partial-pull.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";
import type { FakeRegistry } from "../../fakes/fake-registry.ts";

afterEach(stopRegistries);

const layerFile = fromText(`${repoOfSysroot}/staging/layer-${v2.digest.replace(":", "-")}`);

async function upgradable(images = { v1: v1Image, v2: v2Image }) {
  const linux = await machineWithRepo({});
  const registry = await registryWith(images);
  await pullFrom(linux, registry, "v1");
  return { linux, registry };
}

const plan = (linux: FakeLinux, { host }: FakeRegistry): Promise<PlanImageResult> =>
  planImage(systemOn(linux), {
    image: parseImageReference(`docker://${host}/os:v2`),
    ...{ repo: repoOfSysroot, platform: linuxAmd64, source: { environment: bareEnvironment } },
  });

/** Plans and pulls the second image, and gives what was planned and what came. */
async function compare({ linux, registry }: { readonly linux: FakeLinux; readonly registry: FakeRegistry }) {
  const planned = await plan(linux, registry);
  const { layerBytes, warnings } = await pullFrom(linux, registry, "v2");
  expect(warnings).toEqual([]);
  expect(layerBytes).toBeGreaterThanOrEqual(planned.leastDownloadBytes);
  expect(layerBytes).toBeLessThanOrEqual(planned.downloadBytes);
  return { planned, layerBytes };
}

describe("what a plan says of the download", () => {
  test("a part that an earlier pull has left of the whole does not come again", async () => {
    const machine = await upgradable();
    machine.linux.files.writeNewFile(layerFile, v2.blob.subarray(0, 120_000), 0o600);
    const { planned } = await compare(machine);
    expect(planned.leastDownloadBytes).toBeGreaterThan(1_000_000);
  });

  test("of a layer that is nearly all here the rest comes, as a whole", async () => {
    const machine = await upgradable();
    machine.linux.files.writeNewFile(layerFile, v2.blob.subarray(0, v2.blob.length - 10), 0o600);
    const { planned } = await compare(machine);
    expect(planned).toMatchObject({ downloadBytes: 10, isDownloadBound: false, layers: [{ inParts: false }] });
  });

  test("of a layer that is all here nothing comes", async () => {
    const machine = await upgradable();
    machine.linux.files.writeNewFile(layerFile, v2.blob, 0o600);
    expect((await compare(machine)).planned).toMatchObject({ downloadBytes: 0, layers: [{ inParts: false }] });
  });

  test("a longer file than the layer is nothing to go on with, but its parts are", async () => {
    const machine = await upgradable();
    machine.linux.files.writeNewFile(layerFile, Buffer.concat([v2.blob, Buffer.alloc(10)]), 0o600);
    expect((await compare(machine)).planned).toMatchObject({ downloadBytes: 0, layers: [{ inParts: true }] });
  });

  test("of a layer of which nothing is here the table of contents comes besides", async () => {
    const other = await buildChunkedLayer([{ path: "usr/other", content: noise(600_000, 31) }]);
    const { planned } = await compare(await upgradable({ v1: v1Image, v2: buildChunkedImage([other]) }));
    const downloadBytes = other.blob.length + other.tableBytes;
    expect(planned).toMatchObject({ downloadBytes, isDownloadBound: false, layers: [{ inParts: false }] });
  });

  test("parts that an earlier pull has left do not come again", async () => {
    const machine = await upgradable();
    const { files } = machine.linux;
    const parts = fromText(`${layerFile}-parts`);
    files.makeDirectory(parts, 0o700);
    const at = v2.blob.length - v2.tableBytes - 72;
    files.writeNewFile(fromText(`${parts}/${at}`), v2.blob.subarray(at, at + v2.tableBytes), 0o600);
    files.writeNewFile(fromText(`${parts}/500000`), v2.blob.subarray(500_000, 900_000), 0o600);
    const { planned } = await compare(machine);
    expect(planned.leastDownloadBytes).toBeGreaterThan(100_000);
  });

  test("where the link decides whether enough is saved, it is a bound", async () => {
    const files = (version: number) =>
      Array.from({ length: 61 }, (_, at) => ({
        path: `usr/file-${at}`,
        content: noise(7000, at % 2 === 1 ? at : at + 1000 * version),
      }));
    const [one, two] = await Promise.all([1, 2].map((version) => buildChunkedLayer(files(version))));
    if (one === undefined || two === undefined) throw new Error("Both were built");
    const { planned } = await compare(await upgradable({ v1: buildChunkedImage([one]), v2: buildChunkedImage([two]) }));
    expect(planned).toMatchObject({ isDownloadBound: true, downloadBytes: two.blob.length + two.tableBytes });
  });
});

describe("what a plan says of a bundle", () => {
  const planBundle = (linux: FakeLinux) =>
    planImage(systemOn(linux), {
      image: parseImageReference("oci-archive:/b.tar"),
      ...{ repo: repoOfSysroot, platform: linuxAmd64, source: noLogin },
    });

  test("it is read where it is needed, whatever it saves, and no more", async () => {
    const plain = await buildImage({ layers: [bootable, many(30, [], 1)] });
    const like = await buildImage({ layers: [bootable, [{ path: "usr/other", content: "other ".repeat(99) }]] });
    const target = machineWith({ plain, like });
    await switchTo(target, "plain");
    // Shares as many layers with the new image, and comes later in the order of tags: by itself a pull would measure this one.
    await pullTag(target, "like");
    const maker = machineWith(images);
    const { bundledBytes } = await bundle(maker, { bases: [layoutReference("v1")] });
    bring(maker, target);
    const planned = await planBundle(target);
    expect(planned.layers.map(({ inParts }) => inParts)).toEqual([false, true]);
    expect(planned).toMatchObject({ downloadBytes: bundledBytes, isDownloadBound: false });
    const switched = await switchToBundle(target);
    expect(switched.kind === "deployed" && switched.pulled.addedObjects).toBe(
      planned.newObjects + planned.otherObjects,
    );
  });

  test("it is refused where a switch would refuse it", async () => {
    const maker = machineWith(images);
    await bundle(maker, { bases: [layoutReference("v1")] });
    for (const [target, { digest }] of [
      [await machineWithRepo({}), base],
      [await host("v3"), top.v2],
    ] as const) {
      bring(maker, target);
      const message = `Cannot take layer ${digest} from oci-archive:/b.tar: it was made for machines that have the rest, and this one has not`;
      expect(await failureOf(planBundle(target))).toMatchObject({ code: "unsupported", message });
    }
  });
});

test("law: no link of the latency that was measured fetches more than planned, or less", () => {
  const sizes = fc.array(fc.tuple(fc.integer({ min: 100, max: 60_000 }), fc.boolean()), {
    minLength: 80,
    maxLength: 160,
  });
  const link = fc.record({
    latencyMs: fc.constantFrom(0, 5, 40, 300),
    bytesPerSecond: fc.constantFrom(0, 1e6, 2e7, 1e9),
    requests: fc.integer({ min: layerRequests.least, max: layerRequests.most }),
  });
  fc.assert(
    fc.property(sizes, link, (frames, { latencyMs, bytesPerSecond, requests }) => {
      const { outlined, find } = outlineOf(frames);
      const source = { bundle: () => undefined, describe: () => "", registry: () => ({ latencyMs }) as never };
      const planned = planDownload(outlined, { source, leastRequests: requests });
      const measured = { latencySeconds: latencyMs / 1000, bytesPerSecond, requestsInFlight };
      const costs = { bridgedBytes: weighGaps(measured), requests, link: measured };
      const { fetchBytes } = planPartialPull(outlined.toc, find, costs);
      const bytes = isWorthParts(
        { requests: 0, fetchBytes },
        { fetchBytes: outlined.tables.toc.offsetBytes },
        undefined,
      )
        ? fetchBytes
        : outlined.layer.sizeBytes;
      expect(tableBytes + bytes).toBeGreaterThanOrEqual(planned.leastBytes);
      expect(tableBytes + bytes).toBeLessThanOrEqual(planned.mostBytes);
    }),
  );
});

const tableBytes = 100;

/** A layer of files of these sizes, of which some are here. */
function outlineOf(frames: readonly (readonly [sizeBytes: number, isHere: boolean])[]) {
  let offsetBytes = 100;
  const entries = frames.map(([sizeBytes, isHere], at) => {
    const frame = { offsetBytes, lengthBytes: sizeBytes };
    offsetBytes += sizeBytes;
    const digest = `${isHere ? "here" : "away"} ${at}`;
    return { name: `${at}`, digest, sizeBytes, chunks: [{ digest, sizeBytes, frame }] };
  });
  const here = {} as FoundContent;
  const find = (digest: string) => (digest.startsWith("here") ? here : undefined);
  const place = { offsetBytes, lengthBytes: tableBytes };
  const outlined = {
    layer: { sizeBytes: Math.max(offsetBytes + tableBytes, 10_000) } as ResolvedLayer,
    tables: { toc: place, tarSplit: place } as ChunkedTables,
    toc: { entries, tarSplitDigest: "" },
    held: { isIndexed: true, find },
    kept: [],
  };
  return { outlined, find };
}
