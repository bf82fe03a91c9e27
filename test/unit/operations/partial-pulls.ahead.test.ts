import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseDiffId, parseLayerDigest } from "../../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import type { BlobRange, ImageSource, ResolvedLayer } from "../../../src/image-source/image-source.ts";
import { type Lane, openInlineLane } from "../../../src/operations/import-lane.ts";
import { LayerCounters } from "../../../src/operations/layer-feed.ts";
import { PartialPulls } from "../../../src/operations/partial-pulls.ts";
import type { WholeInstead } from "../../../src/operations/partial-stage.ts";
import { openRepo, type WritableRepo } from "../../../src/repo/repo.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { machineWithRepo, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { pullFrom, registryWith, stopRegistries, v1, v1Image } from "../../builders/partial-pull.ts";

const mebibyte = 1024 * 1024;
const whole: WholeInstead = { kind: "whole", problem: undefined, distrusted: [] };

/** Four layers with tables of contents. */
const layers = [0, 1, 2, 3].map((number): ResolvedLayer => {
  const digest = `sha256:${String(number).repeat(64)}`;
  return {
    ...{ mediaType: "", compression: "zstd", annotations: new Map(Object.entries(v1.annotations)) },
    ...{ sizeBytes: v1.blob.length, digest: parseLayerDigest(digest), diffId: parseDiffId(digest) },
  };
});

let linux: Awaited<ReturnType<typeof machineWithRepo>>;
let repo: WritableRepo;
let run: StagingRun;
/** Layers of which ranges are being fetched, and those of which none is any more. */
let asked: number[];
let ended: number[];

beforeEach(async () => {
  linux = await machineWithRepo({});
  await pullFrom(linux, await registryWith({ v1: v1Image }), "v1");
  repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  run = new StagingRun(repo);
  [asked, ended] = [[], []];
});
afterEach(async () => {
  run.close();
  repo.close();
  await stopRegistries();
});

const numberOf = (digest: string): number => Number(digest.at(-1));

/** Ranges at the beginning come byte by byte and never end. */
async function* slowly(number: number, answer: () => void): AsyncGenerator<Uint8Array> {
  asked.push(number);
  try {
    for (answer(); ; ) {
      yield new Uint8Array(1);
      await new Promise((done) => setImmediate(done));
    }
  } finally {
    ended.push(number);
  }
}

async function partialOver(latencyMs: number): Promise<PartialPulls> {
  const answer = () => linux.advance(latencyMs);
  let tablesLeft = layers.length;
  async function* readTables(lengthBytes: number): AsyncGenerator<Uint8Array> {
    answer();
    tablesLeft--;
    yield new Uint8Array(lengthBytes);
  }
  const source = {
    bundle: () => undefined,
    registry: () => ({ latencyMs }),
    readBlobRange: ({ digest }: ResolvedLayer, { offsetBytes, lengthBytes }: BlobRange) =>
      offsetBytes === 0 ? slowly(numberOf(digest), answer) : readTables(lengthBytes),
  } as unknown as ImageSource;
  const partial = new PartialPulls(systemOn(linux), repo, { source, layers, imageLayers: [], damaged: new Set(), run });
  await partial.prepare([openInlineLane(linux.files, run.newStagingOptions())]);
  while (tablesLeft > 0) await new Promise((done) => setImmediate(done));
  await new Promise((done) => setTimeout(done, 10));
  return partial;
}

/** Plans so many bytes of each layer, and does with it what the test says. */
function laneOf(parts: { bytes: number; planned?: number[]; planOf?: Lane["planPartial"] } & Partial<Lane>): Lane {
  const { bytes, planned = [], planOf, ...calls } = parts;
  const planPartial: Lane["planPartial"] = async (job, options) => {
    planned.push(numberOf(job.layer.digest));
    return (
      planOf?.(job, options) ?? { kind: "ranges" as const, ranges: [{ offsetBytes: 0, lengthBytes: bytes * mebibyte }] }
    );
  };
  const inline = openInlineLane(linux.files, run.newStagingOptions());
  return { ...inline, assemblePartial: async () => whole, planPartial, ...calls };
}

const take = (partial: PartialPulls, number: number, lane: Lane, control: { onWhole?: () => void } = {}) => {
  const layer = layers[number];
  if (layer === undefined) throw new Error("no such layer");
  const halted = new AbortController().signal;
  return partial.importLayer(layer, lane, { halted, progress: new LayerCounters(), onWhole: () => {}, ...control });
};

describe("over a link on which answers take long", () => {
  test("layers that follow are begun before one is put together, until enough is asked for", async () => {
    const partial = await partialOver(30);
    const seen: number[][] = [];
    const planned: number[] = [];
    const assemblePartial = async () => {
      await new Promise((done) => setTimeout(done, 20));
      seen.push([...asked]);
      return whole;
    };
    const lane = laneOf({ bytes: 16, planned, assemblePartial });
    await take(partial, 0, lane);
    // Two of 16 MiB each are 32 MiB that nobody has taken.
    expect([planned, seen, ended]).toEqual([[0, 1, 2], [[0, 1, 2]], [0]]);
    await take(partial, 1, lane);
    expect([planned, seen[1], ended]).toEqual([
      [0, 1, 2, 3],
      [0, 1, 2, 3],
      [0, 1],
    ]);
    await partial.close();
    expect(ended).toEqual([0, 1, 2, 3]);
  });

  test("none is begun where answers come soon", async () => {
    const partial = await partialOver(29);
    const planned: number[] = [];
    await take(partial, 0, laneOf({ bytes: 1, planned }));
    expect([planned, asked]).toEqual([[0], [0]]);
  });

  test("none is begun when the import is to end", async () => {
    const partial = await partialOver(30);
    const planned: number[] = [];
    const halted = AbortSignal.abort();
    const control = { halted, progress: new LayerCounters(), onWhole: () => {} };
    await partial.importLayer(layers[0] as ResolvedLayer, laneOf({ bytes: 1, planned }), control);
    expect(planned).toEqual([0]);
  });

  test("one that turns out to come whole is told, and not planned again", async () => {
    const partial = await partialOver(30);
    const planned: number[] = [];
    const told: boolean[][] = [];
    const planOf: Lane["planPartial"] = async ({ layer, costs }, { isAhead }) =>
      isAhead && numberOf(layer.digest) === 1
        ? whole
        : { kind: "ranges", ranges: [{ offsetBytes: 0, lengthBytes: costs.requests }] };
    const lane = laneOf({ bytes: 1, planned, planOf });
    await take(partial, 0, lane, { onWhole: () => told.push(layers.map((layer) => partial.mayServe(layer))) });
    expect(told).toEqual([[true, false, true, true]]);
    expect(await take(partial, 1, lane)).toBeUndefined();
    expect(planned).toEqual([0, 1, 2, 3]);
    await partial.close();
  });

  test("what is wrong with one is told by whoever takes it", async () => {
    const partial = await partialOver(30);
    const planOf: Lane["planPartial"] = async ({ layer }) =>
      numberOf(layer.digest) === 0
        ? { kind: "ranges", ranges: [] }
        : Promise.reject(new OsdeployError("network", `Cannot plan ${numberOf(layer.digest)}: the thread ended`));
    const lane = laneOf({ bytes: 1, planOf });
    await take(partial, 0, lane);
    await expect(take(partial, 1, lane)).rejects.toMatchObject({ message: "Cannot plan 1: the thread ended" });
    await partial.close();
  });

  test("tables that cannot be had while others are waited for are told by whoever takes the layer", async () => {
    const release: (() => void)[] = [];
    const held = (bytes: () => AsyncIterable<Uint8Array>) =>
      (async function* () {
        await new Promise<void>((done) => release.push(done));
        yield* bytes();
      })();
    async function* tablesOf(lengthBytes: number): AsyncGenerator<Uint8Array> {
      linux.advance(30);
      yield new Uint8Array(lengthBytes);
    }
    const source = {
      bundle: () => undefined,
      registry: () => ({ latencyMs: 30 }),
      readBlobRange: ({ digest }: ResolvedLayer, { offsetBytes, lengthBytes }: BlobRange) => {
        const number = numberOf(digest);
        if (number === 0 && offsetBytes > 0) return tablesOf(lengthBytes);
        return held(() => {
          if (number === 0) return slowly(number, () => linux.advance(30));
          throw new OsdeployError("network", `Cannot fetch the tables of ${number}`);
        });
      },
    } as unknown as ImageSource;
    const options = { source, layers, imageLayers: [], damaged: new Set<never>(), run };
    const partial = new PartialPulls(systemOn(linux), repo, options);
    await partial.prepare([openInlineLane(linux.files, run.newStagingOptions())]);
    const soon = () => new Promise((done) => setTimeout(done, 10));
    const first = take(partial, 0, laneOf({ bytes: 1 }));
    for (let waited = 0; release.length < layers.length && waited < 100; waited++) await soon();
    const parts = release.pop();
    for (const fail of release) fail();
    await soon();
    parts?.();
    expect(await first).toBeUndefined();
    expect(asked).toEqual([0]);
    await expect(take(partial, 1, laneOf({ bytes: 1 }))).rejects.toThrow("Cannot fetch the tables of 1");
    await partial.close();
  });

  test("when the source gives no parts, what nobody has taken is given up, and what somebody has goes on", async () => {
    const partial = await partialOver(30);
    const refuse = new OsdeployError("unsupported", "Cannot fetch a part: the registry gives none");
    const release: (() => void)[] = [];
    const held = new Promise<WholeInstead>((done) => release.push(() => done(whole)));
    const first = take(partial, 0, laneOf({ bytes: 16, assemblePartial: () => held }));
    await new Promise((done) => setTimeout(done, 20));
    const second = take(partial, 1, laneOf({ bytes: 16, assemblePartial: () => Promise.reject(refuse) }));
    expect(await second).toBeUndefined();
    await new Promise((done) => setTimeout(done, 20));
    expect([asked, [...ended].sort()]).toEqual([
      [0, 1, 2, 3],
      [1, 2, 3],
    ]);
    expect(await take(partial, 2, laneOf({ bytes: 1 }))).toBeUndefined();
    release[0]?.();
    await first;
    expect(ended).toHaveLength(4);
  });
});
