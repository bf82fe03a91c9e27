import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runMain } from "../../../src/cli/run-main.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { copyImage } from "../../../src/operations/copy-image.ts";
import { type PlanImageResult, planImage } from "../../../src/operations/plan-image.ts";
import { type PullResult, pull } from "../../../src/operations/pull.ts";
import { type BuiltImage, buildImage } from "../../builders/oci-image.ts";
import {
  layoutReference,
  linuxAmd64,
  machineWithRepo,
  noLogin,
  repoOfSysroot,
  systemOn,
} from "../../builders/operation-machine.ts";
import { FakeCliIo } from "../../fakes/fake-cli-io.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";
import { type JsonSchema, schemaErrors } from "../../tools/json-schema.ts";

/** Does not compress, so that sizes of blobs follow sizes of files. */
function noise(length: number, seed: number): Buffer {
  let state = seed;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 16;
    }),
  );
}

const base = [
  { path: "usr/" },
  { path: "usr/a", content: noise(40_000, 1) },
  { path: "usr/b", content: noise(30_000, 2) },
];
const changed = [
  ...base.slice(0, 2),
  { path: "usr/b", content: noise(25_000, 3) },
  { path: "usr/small", content: "s" },
];
const labels = { "org.opencontainers.image.version": "2" };
const v1 = await buildImage({ layers: [base] });
const v2 = await buildImage({ layers: [changed, [{ path: "usr/c", content: noise(20_000, 4) }]], labels });

const request = (image: string) => ({
  ...{ image: parseImageReference(image), platform: linuxAmd64, source: noLogin, repo: repoOfSysroot },
});

async function machine(images: Readonly<Record<string, BuiltImage>>): Promise<FakeLinux> {
  const linux = await machineWithRepo(images);
  for (const tag of Object.keys(images)) {
    await copyImage(systemOn(linux), {
      ...request(layoutReference(tag)),
      destination: parseImageReference(`oci:/chunked:${tag}`),
      destinationOptions: noLogin,
      ...{ format: "zstd:chunked", level: undefined, removeSignatures: false },
    });
  }
  return linux;
}

const plan = (linux: FakeLinux, image: string): Promise<PlanImageResult> => planImage(systemOn(linux), request(image));
const bring = (linux: FakeLinux, image: string): Promise<PullResult> =>
  pull(systemOn(linux), { ...request(image), bootable: false });

describe("planImage", () => {
  test("an empty repo: everything comes whole, and all contents of tables are new", async () => {
    const linux = await machine({ v1 });
    const size = (found: PlanImageResult) => found.layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const chunked = await plan(linux, "oci:/chunked:v1");
    expect(chunked).toMatchObject({
      ...{ isDownloadBound: false, downloadBytes: size(chunked), newObjects: 2, newBytes: 70_000, uncountedLayers: 0 },
      ...{ version: null, image: "oci:/chunked:v1" },
    });
    const gzip = await plan(linux, layoutReference("v1"));
    expect(gzip).toMatchObject({ downloadBytes: size(gzip), newObjects: 0, newBytes: 0, uncountedLayers: 1 });
    expect(linux.openPaths).toEqual([]);
  });

  test("an upgrade in parts: what the pull then adds is what was planned", async () => {
    const linux = await machine({ v1, v2 });
    await bring(linux, "oci:/chunked:v1");
    const planned = await plan(linux, "oci:/chunked:v2");
    expect(planned.otherObjects).toBe(7);
    expect(planned.base).toMatchObject({ image: null });
    expect(planned.files).toMatchObject({ kind: "known", added: 2, changed: 1, removed: 0 });
    expect(planned.packages).toEqual({ kind: "unknown", reason: "neither image has a package database" });
    expect(planned).toMatchObject({ version: "2", isDownloadBound: true, newObjects: 2, newBytes: 45_000 });
    expect(planned.layers.map(({ kind }) => kind)).toEqual(["chunked", "chunked"]);
    expect(planned.downloadBytes).toBeGreaterThan(45_000);
    expect(planned.downloadBytes).toBeLessThan(70_000);
    const before = await objects(linux);
    await bring(linux, "oci:/chunked:v2");
    const after = await plan(linux, "oci:/chunked:v2");
    expect(after).toMatchObject({ downloadBytes: 0, isDownloadBound: false, newObjects: 0, newBytes: 0 });
    expect(after.layers.map(({ kind }) => kind)).toEqual(["known", "known"]);
    // Besides contents: splitstreams of two layers, config and manifest with theirs, and a root image.
    expect((await objects(linux)) - before).toBe(planned.newObjects + planned.otherObjects);
  });

  test("an image that is here is compared with itself: nothing would be another, whatever else the repo holds", async () => {
    const linux = await machine({ v1, v2 });
    await bring(linux, "oci:/chunked:v1");
    const { manifestDigest } = await bring(linux, "oci:/chunked:v2");
    expect(await plan(linux, "oci:/chunked:v2")).toMatchObject({
      ...{ downloadBytes: 0, newObjects: 0, base: { manifestDigest } },
      files: { kind: "known", added: 0, removed: 0, changed: 0, touched: 0 },
    });
  });

  test("a table that cannot be used: the layer counts as a whole one", async () => {
    const linux = await machine({ v1 });
    damageTables(linux);
    expect(await plan(linux, "oci:/chunked:v1")).toMatchObject({ uncountedLayers: 1, newObjects: 0 });
  });
});

describe("osdeploy plan", () => {
  test("prints a table, and JSON by its schema", async () => {
    const linux = await machine({ v1, v2 });
    await bring(linux, "oci:/chunked:v1");
    const run = async (...words: readonly string[]) => {
      const io = new FakeCliIo({ linux });
      expect(
        await runMain([...words, "plan", "--repo", repoOfSysroot, "--platform", "linux/amd64", "oci:/chunked:v2"], io),
      ).toBe(0);
      return io.stdout.text;
    };
    const schema = readFileSync(new URL("../../../docs/reference/schema/plan.json", import.meta.url), "utf8");
    expect(schemaErrors(JSON.parse(await run("--json")), JSON.parse(schema) as JsonSchema)).toEqual([]);
    const text = await run();
    expect(text).toMatch(
      /^Image: +oci:\/chunked:v2\nVersion: +2\nDigest: +sha256:[0-9a-f]{64}\nCompared with: sha256:[0-9a-f]{64}\nDownload: +\d/,
    );
    expect(text).toMatch(/New files: +2 objects \(45\.0 kB\), and 7 of the repo's own/);
    expect(await run("--verbose")).toMatch(/comes in parts\n/);
  });
});

async function objects(linux: FakeLinux): Promise<number> {
  const { repoInfo } = await import("../../../src/operations/repo-info.ts");
  return (await repoInfo(systemOn(linux), { repo: repoOfSysroot })).objects;
}

/** Changes a byte in the table of contents of every chunked layer. */
function damageTables(linux: FakeLinux): void {
  const { files } = linux;
  const path = (name: string) => `/chunked/${name}` as Parameters<typeof files.readFile>[0];
  const json = (name: string) => JSON.parse(Buffer.from(files.readFile(path(name), 1e6)).toString());
  const [{ digest }] = json("index.json").manifests;
  for (const layer of json(`blobs/sha256/${digest.slice(7)}`).layers) {
    const blob = path(`blobs/sha256/${layer.digest.slice(7)}`);
    const bytes = new Uint8Array(files.readFile(blob, 1e9));
    const at = Number(layer.annotations["io.github.containers.zstd-chunked.manifest-position"].split(":")[0]);
    bytes[at + 9] = ((bytes[at + 9] as number) + 1) % 256;
    files.unlink(blob);
    files.writeNewFile(blob, bytes, 0o644);
  }
}
