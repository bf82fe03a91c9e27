import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { openImageSource } from "../../../src/image-source/open-image-source.ts";
import type { ProgressEvent } from "../../../src/operations/progress.ts";
import { pull } from "../../../src/operations/pull.ts";
import { bringLayersAlone } from "../../../src/operations/pull-image.ts";
import { readDirectoryIfExists } from "../../../src/repo/object-listing.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { buildChunkedImage, buildChunkedLayer, type ChunkedLayer, noise } from "../../builders/chunked-layer.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { sha256 } from "../../builders/oci-layer.ts";
import { bareEnvironment } from "../../builders/oci-source.ts";
import {
  failureOf,
  linuxAmd64,
  machineWithRepo,
  namesInRepo,
  noLogin,
  pullTag,
  repoOfSysroot,
  SeenProgress,
  systemOn,
} from "../../builders/operation-machine.ts";
import { placeLayout } from "../../builders/os-images.ts";
import { pullFrom, registryWith, stopRegistries, v1 } from "../../builders/partial-pull.ts";

afterEach(stopRegistries);

test("a pull that was stopped, and cannot keep what it has, tells why it was stopped", async () => {
  const linux = await machineWithRepo({});
  const other = await buildChunkedLayer([{ path: "usr/" }, { path: "usr/a", content: noise(30_000, 77) }]);
  const registry = await registryWith({ both: buildChunkedImage([v1, other]) });
  registry.faults.push({ path: new RegExp(other.digest), status: 503 });
  const { rename } = linux.files;
  let published = 0;
  Object.assign(linux.files, {
    rename: (...words: Parameters<typeof rename>) => {
      if (!words[1].includes("/objects/")) return rename(...words);
      published++;
      throw new OsdeployError("no-space", "the disk is full");
    },
  });
  await expect(pullFrom(linux, registry, "both")).rejects.toMatchObject({ code: "network" });
  expect(published).toBeGreaterThan(0);
});

const garbage = noise(300_000, 7);
const noTar: ChunkedLayer = { ...v1, annotations: {}, blob: garbage, digest: sha256(garbage) };

test.each([
  ["of one that is bad nothing is left", noTar, 300_000, { code: "bad-format", left: 0 }],
  ["of one that could not be had to its end its bytes are", v1, 200_000, { code: "network", left: 1 }],
])("layers that are brought alone: %s", async (_, layer, dropAfterBytes, { code, left }) => {
  const linux = await machineWithRepo({});
  const registry = await registryWith({ x: buildChunkedImage([layer]) });
  registry.faults.push({ path: new RegExp(layer.digest), dropAfterBytes });
  const options = { environment: bareEnvironment, retry: { tries: 1, delayMs: 1 } };
  const source = openImageSource(parseImageReference(`docker://${registry.host}/os:x`), linux, options);
  const image = await source.resolve(linuxAmd64);
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  await expect(bringLayersAlone(systemOn(linux), repo, source, image)).rejects.toMatchObject({ code });
  expect(readDirectoryIfExists(linux.files, fromText(`${repoOfSysroot}/staging`))).toHaveLength(left);
  repo.close();
  await source.close();
});

const os = await buildImage({ layers: [["usr", "boot", "sysroot"].map((path) => ({ path }))] });
test("gives back the memory of the import threads, before the root images are made", async () => {
  const seen: string[] = [];
  const linux = Object.assign(await machineWithRepo({ os }), { releaseMemory: () => seen.push("-") });
  const progress = (event: ProgressEvent) => event.kind === "phase" && seen.push(event.phase);
  await pullTag(linux, "os", { system: { progress } });
  expect(seen.slice(seen.indexOf("merge"))).toEqual(["merge", "-", "root-image", "publish"]);
});

test("gives memory back while layers are imported, and when one is, before the next takes its own", async () => {
  const ticks = vi.spyOn(globalThis, "setInterval");
  onTestFinished(() => ticks.mockRestore());
  const seen: string[] = [];
  const linux = Object.assign(await machineWithRepo({ os }), { releaseMemory: () => seen.push("-") });
  const progress = ({ kind }: ProgressEvent) => {
    if (!kind.startsWith("layer-")) return;
    seen.push(kind);
    if (kind === "layer-started") ticks.mock.calls.forEach(([tick]) => void tick());
  };
  await pullTag(linux, "os", { system: { progress } });
  expect(seen).toEqual(["layer-started", "-", "-", "layer-finished", "-"]);
});

test("an image whose name can be no tag is refused before anything of it is fetched", async () => {
  const linux = await machineWithRepo({});
  const image = await buildImage({ layers: [[{ path: "usr" }]] });
  const place = `/${"deep/".repeat(60)}layout`;
  let made = "";
  for (const name of place.split("/").slice(1)) {
    made += `/${name}`;
    if (name !== "layout") linux.files.makeDirectory(fromText(made), 0o755);
  }
  placeLayout(linux.files, fromText(place), { v1: image });
  const before = namesInRepo(linux);
  const seen = new SeenProgress();
  const pulled = pull(systemOn(linux, { progress: seen.report }), {
    image: parseImageReference(`oci:${place}:v1`),
    repo: repoOfSysroot,
    bootable: false,
    platform: linuxAmd64,
    source: noLogin,
  });
  expect(await failureOf(pulled)).toMatchObject({ code: "usage" });
  expect(seen.events.map(({ kind }) => kind)).not.toContain("layers");
  expect(namesInRepo(linux)).toEqual(before);
});
