import { afterEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { openImageSource } from "../../../src/image-source/open-image-source.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { LayerCounters } from "../../../src/operations/layer-feed.ts";
import { startFetch } from "../../../src/operations/layer-fetch.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { buildNoiseImage, layerOf, OpenSources } from "../../builders/oci-source.ts";
import { machineWithRepo, repoOfSysroot } from "../../builders/operation-machine.ts";
import { placeLayout } from "../../builders/os-images.ts";
import type { FakeRegistryOptions } from "../../fakes/fake-registry.ts";

const open = new OpenSources();
afterEach(() => open.stop());

/** A layer in a registry, and a run that is to fetch it. */
async function scene(options: FakeRegistryOptions = {}) {
  const image = await buildNoiseImage();
  const registry = await open.registry(image, options);
  const linux = await machineWithRepo({});
  const source = open.source(registry);
  const layer = await layerOf(source);
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  const runs: StagingRun[] = [];
  const newRun = () => {
    const run = new StagingRun(repo);
    runs.push(run);
    return run;
  };
  const blob = Buffer.from(image.layers[0]?.blob ?? []);
  const staged = fromText(`${repoOfSysroot}/staging/layer-${layer.digest.replace(":", "-")}`);
  return { registry, linux, source, layer, newRun, blob, staged };
}

test("startFetch: the bytes come into a file that stays when the layer was imported, and goes when it is dropped", async () => {
  const { linux, source, layer, newRun, blob, staged } = await scene();
  const [run, counters] = [newRun(), new LayerCounters()];
  const fetch = startFetch(linux.files, { source, run, layer, counters });
  await fetch.done;
  expect(fetch).toMatchObject({ location: { path: staged, lengthBytes: blob.length }, canRepeat: true });
  expect(counters.available).toBe(blob.length);
  fetch.release();
  expect(Buffer.from(linux.files.readFile(staged, 1e6))).toEqual(blob);
  fetch.drop();
  expect(linux.files.lstatIfExists(staged)).toBeUndefined();
});

test("startFetch: goes on where an earlier run ended; with all bytes here, asks for nothing", async () => {
  const { registry, linux, source, layer, newRun, blob, staged } = await scene();
  for (const [here, asked] of [
    [1_000, ["bytes=1000-"]],
    [blob.length, []],
    [0, [undefined]],
  ] as const) {
    const run = newRun();
    linux.files.writeNewFile(staged, blob.subarray(0, here), 0o600);
    registry.requests.length = 0;
    const counters = new LayerCounters();
    const fetch = startFetch(linux.files, { source, run, layer, counters });
    expect(counters.available).toBe(here);
    await fetch.done;
    expect(registry.requests.map(({ range }) => range)).toEqual(asked);
    expect(Buffer.from(linux.files.readFile(staged, 1e6))).toEqual(blob);
    fetch.drop();
    run.close();
  }
});

test("startFetch: a file that is longer than the layer is nothing to go on with", async () => {
  const { linux, source, layer, newRun, blob, staged } = await scene();
  const run = newRun();
  linux.files.writeNewFile(staged, Buffer.alloc(blob.length + 1), 0o600);
  await startFetch(linux.files, { source, run, layer, counters: new LayerCounters() }).done;
  expect(Buffer.from(linux.files.readFile(staged, 1e6))).toEqual(blob);
});

test("startFetch: while another run fetches the same layer, a file of this run alone serves", async () => {
  const { linux, source, layer, newRun, blob, staged } = await scene();
  const [first, second] = [newRun(), newRun()];
  first.openPartialLayer(layer.digest);
  const fetch = startFetch(linux.files, { source, run: second, layer, counters: new LayerCounters() });
  await fetch.done;
  expect(fetch.location.path).not.toBe(staged);
  expect(Buffer.from(linux.files.readFile(fetch.location.path, 1e6))).toEqual(blob);
  fetch.release();
  expect(linux.files.lstatIfExists(fetch.location.path)).toBeUndefined();
});

test("startFetch: bytes are said to be there when they are in the file, and not before", async () => {
  const { linux, source, layer, newRun } = await scene();
  const others = startFetch(linux.files, { source, run: newRun(), layer, counters: new LayerCounters() });
  const counters = new LayerCounters();
  const seen: number[][] = [];
  let written = 0;
  const files: LinuxFiles = {
    ...linux.files,
    write: (fd, piece) => {
      seen.push([counters.available, written]);
      written += piece.length;
      linux.files.write(fd, piece);
    },
  };
  await startFetch(files, { source, run: newRun(), layer, counters }).done;
  await others.done;
  expect(seen.length).toBeGreaterThan(0);
  expect(seen.filter(([available, before]) => available !== before)).toEqual([]);
  expect(counters.available).toBe(layer.sizeBytes);
});

test("startFetch: stops with the import, and keeps what came; a failure stops the import", async () => {
  const { linux, source, layer, newRun, staged } = await scene();
  const stopped = new LayerCounters();
  stopped.stop();
  const run = newRun();
  await startFetch(linux.files, { source, run, layer, counters: stopped }).done;
  expect(linux.files.lstat(staged).sizeBytes).toBe(0);
  run.close();
  const path = new RegExp(layer.digest);
  const broken = await scene({ faults: [{ path, times: 9, dropAfterBytes: 1_000 }] });
  const counters = new LayerCounters();
  const fetch = startFetch(broken.linux.files, { ...broken, run: broken.newRun(), counters });
  await expect(fetch.done).rejects.toMatchObject({ code: "network" });
  expect(counters.stopped).toBe(true);
  expect(broken.linux.files.lstat(broken.staged).sizeBytes).toBe(3_000);
});

test("startFetch: a blob of this machine stays where it is", async () => {
  const { linux, newRun } = await scene();
  const image = await buildNoiseImage();
  placeLayout(linux.files, fromText("/layout2"), { v1: image });
  const source = openImageSource(parseImageReference("oci:/layout2:v1"), linux, {
    environment: { variables: {}, userId: 0 },
  });
  const layer = await layerOf(source);
  const counters = new LayerCounters();
  const fetch = startFetch(linux.files, { source, run: newRun(), layer, counters });
  await fetch.done;
  expect(fetch.canRepeat).toBe(false);
  expect(counters.available).toBe(layer.sizeBytes);
  fetch.release();
  fetch.drop();
  expect(linux.files.lstat(fetch.location.path).sizeBytes).toBe(layer.sizeBytes);
});
