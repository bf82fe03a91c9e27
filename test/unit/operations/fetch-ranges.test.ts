import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseDiffId, parseLayerDigest } from "../../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { LinkMeter } from "../../../src/core/oci/link-meter.ts";
import type { BlobRange, ImageSource, ResolvedLayer } from "../../../src/image-source/image-source.ts";
import { measured, RangeFetcher, requestsInFlight } from "../../../src/operations/fetch-ranges.ts";
import { PartialCounters } from "../../../src/operations/partial-counters.ts";
import { openKeptRanges } from "../../../src/repo/kept-ranges.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const digest = `sha256:${"a".repeat(64)}`;
const layer: ResolvedLayer = {
  ...{ mediaType: "", compression: "zstd", sizeBytes: 10_000, annotations: new Map() },
  ...{ digest: parseLayerDigest(digest), diffId: parseDiffId(digest) },
};
const ranges = Array.from({ length: 20 }, (_, i): BlobRange => ({ offsetBytes: i * 100, lengthBytes: 10 }));
const directory = fromText("/ranges");

/** A source whose blob holds at each place the low byte of its offset, in pieces of 4 bytes. */
function source(read: (range: BlobRange) => void = () => {}): { source: ImageSource; most: () => number } {
  let running = 0;
  let most = 0;
  const refuse = () => {
    throw new Error("only parts are read");
  };
  return {
    most: () => most,
    source: {
      ...{
        describe: () => "parts",
        resolve: refuse,
        locateBlob: () => undefined,
        openBlob: refuse,
        close: async () => {},
      },
      ...{ tags: refuse, referrers: refuse },
      async *readBlobRange(_: unknown, range: BlobRange) {
        most = Math.max(most, ++running);
        await new Promise((done) => setTimeout(done, 1));
        read(range);
        const bytes = Uint8Array.from({ length: range.lengthBytes }, (__, i) => (range.offsetBytes + i) & 255);
        for (let at = 0; at < bytes.length; at += 4) yield bytes.subarray(at, at + 4);
        running--;
      },
    } as unknown as ImageSource,
  };
}

function machine(): FakeLinux {
  const linux = new FakeLinux();
  linux.files.makeDirectory(directory, 0o755);
  return linux;
}

describe("RangeFetcher", () => {
  test("fetches each range to its file, a few at a time, and says what is there", async () => {
    const linux = machine();
    const { source: parts, most } = source();
    const counters = PartialCounters.for(ranges.length);
    await new RangeFetcher(linux, parts).fetchFiles(layer, ranges, { directory, counters });
    expect(most()).toBe(requestsInFlight);
    const last = linux.files.readFile(fromText("/ranges/1900"), 100);
    expect([...last]).toEqual(Array.from({ length: 10 }, (_, i) => (1900 + i) & 255));
    for (const [number] of ranges.entries()) counters.waitFor(number, 10);
    expect(linux.openPaths).toEqual([]);
  });

  test("says that bytes are there when they are in the file, and not before", async () => {
    const linux = machine();
    const told: boolean[] = [];
    class Watched extends PartialCounters {
      override setAvailable(range: number, bytes: number): void {
        const path = fromText(`/ranges/${ranges[range]?.offsetBytes}`);
        told.push(linux.files.lstat(path).sizeBytes === bytes);
        super.setAvailable(range, bytes);
      }
    }
    const counters = new Watched(PartialCounters.for(ranges.length).memory);
    await new RangeFetcher(linux, source().source).fetchFiles(layer, ranges, { directory, counters });
    expect(told.length).toBeGreaterThan(ranges.length);
    expect(told).not.toContain(false);
  });

  test("hands on the first failure, and asks for nothing more", async () => {
    const asked: number[] = [];
    const { source: parts } = source(({ offsetBytes }) => {
      asked.push(offsetBytes);
      if (offsetBytes === 0) throw new OsdeployError("network", "the link is gone");
    });
    const counters = PartialCounters.for(ranges.length);
    const linux = machine();
    const fetched = new RangeFetcher(linux, parts).fetchFiles(layer, ranges, { directory, counters });
    await expect(fetched).rejects.toThrow("the link is gone");
    expect(asked.length).toBeLessThan(ranges.length);
    expect(() => counters.waitFor(19, 10)).toThrow("Stopped while a layer was being put together");
    expect(linux.openPaths).toEqual([]);
  });

  test("ends early without error when it is told to stop", async () => {
    const counters = PartialCounters.for(ranges.length);
    const { source: parts } = source(() => counters.stop());
    await new RangeFetcher(machine(), parts).fetchFiles(layer, ranges, { directory, counters });
    expect(counters.stopped).toBe(true);
  });

  test("lets nobody take a turn that was given to who waited", async () => {
    const later: Promise<unknown>[] = [];
    let fetcher: RangeFetcher | undefined;
    // Newcomers ask at every moment around the end of a request.
    const { source: parts, most } = source(({ offsetBytes }) => {
      if (offsetBytes !== 0) return;
      let moment = Promise.resolve();
      for (let i = 0; i < 200; i++) {
        moment = moment.then(() => {
          const range = { offsetBytes: 7, lengthBytes: 1 };
          later.push(fetcher?.fetchBytes(layer, range) ?? Promise.resolve());
        });
      }
    });
    fetcher = new RangeFetcher(machine(), parts);
    const all = ranges.map((range) => fetcher?.fetchBytes(layer, range));
    await Promise.all(all);
    await Promise.all(later);
    expect(later).toHaveLength(200);
    expect(most()).toBe(requestsInFlight);
  });

  test("fetches bytes to memory, and measures the link by it", async () => {
    const fetcher = new RangeFetcher(machine(), source().source);
    expect(fetcher.meter.speed).toEqual({ latencySeconds: 0, bytesPerSecond: 0 });
    expect([...(await fetcher.fetchBytes(layer, { offsetBytes: 7, lengthBytes: 5 }))]).toEqual([7, 8, 9, 10, 11]);
    for (let i = 0; i < 8; i++) await fetcher.fetchBytes(layer, { offsetBytes: 0, lengthBytes: 20_000 });
    expect(fetcher.meter.speed.bytesPerSecond).toBeGreaterThan(0);
  });

  test("an answer of one piece says nothing of the bandwidth, however long it takes to be used", async () => {
    const clock = { time: 0, now: () => clock.time, randomName: () => fromText("") };
    const meter = new LinkMeter();
    const use = async (pieces: readonly Uint8Array[], ms: number) => {
      for await (const piece of measured(Readable.from(pieces), meter, clock))
        clock.time += ms * Math.min(piece.length, 1);
    };
    for (let i = 0; i < 8; i++) await use([new Uint8Array(1000)], 60_000);
    await use([new Uint8Array(1000), new Uint8Array(1_000_000)], 500);
    expect(meter.speed.bytesPerSecond).toBe(1_000_000);
  });

  test("fetches only what lies between the parts that earlier runs have left, wherever those begin", async () => {
    const linux = machine();
    const bytesOf = (offset: number, length: number) => Uint8Array.from({ length }, (_, i) => (offset + i) & 255);
    const leave = (offset: number, length: number) =>
      linux.files.writeNewFile(fromText(`/repo/staging/${name}-parts/${offset}`), bytesOf(offset, length), 0o600);
    const name = `layer-sha256-${"a".repeat(64)}`;
    for (const path of ["/repo", "/repo/staging", `/repo/staging/${name}-parts`]) {
      linux.files.makeDirectory(fromText(path), 0o755);
    }
    // Of the range from 100 on its own first bytes, some in the middle, twice, and some behind its end.
    leave(100, 10);
    leave(105, 15);
    leave(150, 10);
    leave(155, 10);
    leave(190, 100);
    const asked: BlobRange[] = [];
    const { source: remote } = source((range) => asked.push(range));
    const kept = openKeptRanges(linux.files, fromText("/repo"), layer.digest);
    const fetcher = new RangeFetcher(linux, remote);
    const bytes = await fetcher.fetchBytes(layer, { offsetBytes: 100, lengthBytes: 100 }, kept);
    expect([...bytes]).toEqual([...bytesOf(100, 100)]);
    expect(asked).toEqual([
      { offsetBytes: 120, lengthBytes: 30 },
      { offsetBytes: 165, lengthBytes: 25 },
    ]);
    // A shorter range at the same place is in the file already.
    expect(await fetcher.fetchBytes(layer, { offsetBytes: 100, lengthBytes: 7 }, kept)).toHaveLength(7);
    expect(asked).toHaveLength(2);
    kept?.close();
    expect(linux.openPaths).toEqual([]);
  });
});
