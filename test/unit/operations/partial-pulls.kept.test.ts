import { afterEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseLayerDigest } from "../../../src/core/digest/oci-digest.ts";
import { openKeptRanges } from "../../../src/repo/kept-ranges.ts";
import { machineWithRepo, repoOfSysroot } from "../../builders/operation-machine.ts";
import {
  expectHealthy,
  pullFrom,
  registryWith,
  stopRegistries,
  v1Image,
  v2,
  v2Image,
  wholePull,
} from "../../builders/partial-pull.ts";

afterEach(stopRegistries);

const staging = fromText(`${repoOfSysroot}/staging`);
const layerFile = fromText(`${staging}/layer-${v2.digest.replace(":", "-")}`);
/** Bytes of the second image's layer that the first one lacks, and its tables, but for the frames' own. */
const missing = 90_000 + 40_000 + 15 + 1_200_000 + v2.tableBytes;

async function upgradable() {
  const linux = await machineWithRepo({});
  const registry = await registryWith({ v1: v1Image, v2: v2Image });
  await pullFrom(linux, registry, "v1");
  return { linux, registry };
}

describe("a partial pull", () => {
  test("takes what was fetched when the layer was to come whole, and leaves none of it", async () => {
    const { linux, registry } = await upgradable();
    // The first new file is at the blob's beginning.
    linux.files.writeNewFile(layerFile, v2.blob.subarray(0, 120_000), 0o600);
    const pulled = await pullFrom(linux, registry, "v2");
    expect(pulled.warnings).toEqual([]);
    expect(pulled.layerBytes).toBeLessThan(missing - 80_000);
    expect(pulled.rawImage).toBe((await wholePull(v2Image)).rawImage);
    await expectHealthy(linux);
  });

  test("fetches the rest as a whole where nearly all of the layer had come so", async () => {
    const { linux, registry } = await upgradable();
    linux.files.writeNewFile(layerFile, v2.blob.subarray(0, v2.blob.length - 10), 0o600);
    const pulled = await pullFrom(linux, registry, "v2");
    expect(pulled.rawImage).toBe((await wholePull(v2Image)).rawImage);
    expect(pulled.layerBytes).toBeLessThan(v2.tableBytes + 2_000);
    await expectHealthy(linux);
  });

  test("has ranges of its own while another run fetches the same layer", async () => {
    const { linux, registry } = await upgradable();
    const other = openKeptRanges(linux.files, repoOfSysroot, parseLayerDigest(v2.digest));
    expect(other).toBeDefined();
    const pulled = await pullFrom(linux, registry, "v2");
    expect(pulled.warnings).toEqual([]);
    expect(pulled.layerBytes).toBeLessThan(v2.blob.length);
    expect(pulled.rawImage).toBe((await wholePull(v2Image)).rawImage);
    other?.remove();
    other?.close();
    await expectHealthy(linux);
  });

  test("tries again with none of the bytes that were left, and then says why it takes the whole", async () => {
    const { linux, registry } = await upgradable();
    const kept = fromText(`${layerFile}-parts`);
    linux.files.makeDirectory(kept, 0o700);
    // The tables of contents, as a power cut can leave them.
    const place = v2.blob.length - v2.tableBytes - 72;
    linux.files.writeNewFile(fromText(`${kept}/${place}`), new Uint8Array(v2.tableBytes), 0o600);
    const pulled = await pullFrom(linux, registry, "v2");
    expect(pulled.warnings).toEqual([]);
    expect(pulled.layerBytes).toBeLessThan(missing + 2_000);
    expect(pulled.rawImage).toBe((await wholePull(v2Image)).rawImage);
    await expectHealthy(linux);
  });
});
