import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { coveredBytes, isWorthParts, planPartialPull, weighGaps } from "../../../../src/core/oci/plan-partial-pull.ts";
import type { ChunkedToc, TocChunk, TocEntry } from "../../../../src/core/oci/zstd-chunked-toc.ts";

const costs = { bridgedBytes: 10, requests: 100 };

function chunk(digest: string, offsetBytes: number, lengthBytes = 100): TocChunk {
  return { digest, sizeBytes: 1000, frame: { offsetBytes, lengthBytes } };
}

function entry(name: string, chunks: readonly TocChunk[], digest = name): TocEntry {
  return { name, digest, chunks, sizeBytes: chunks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}

function toc(...entries: readonly TocEntry[]): ChunkedToc {
  return { tarSplitDigest: "", entries };
}

const nothing = () => undefined;

describe("planPartialPull", () => {
  test("takes a whole file from where it is, and no part of it", () => {
    const plan = planPartialPull(
      toc(entry("a", [chunk("1", 10), chunk("2", 200)])),
      (digest) => (digest === "a" ? "here" : undefined),
      costs,
    );
    expect(plan.contents).toEqual([[{ kind: "known", sizeBytes: 2000, digest: "a", known: "here" }]]);
    expect(plan).toMatchObject({ ranges: [], fetchBytes: 0, missingBytes: 0, knownBytes: 2000 });
  });

  test("takes parts of a file from where they are, makes zeros, and fetches the rest", () => {
    const zeros = { digest: "0", sizeBytes: 50, frame: undefined };
    const file = entry("a", [chunk("1", 10), zeros, chunk("2", 200)]);
    const plan = planPartialPull(toc(file), (digest) => (digest === "1" ? "here" : undefined), costs);
    expect(plan.contents).toEqual([
      [
        { kind: "known", sizeBytes: 1000, digest: "1", known: "here" },
        { kind: "zeros", sizeBytes: 50, digest: "0" },
        { kind: "frame", sizeBytes: 1000, digest: "2", frame: { offsetBytes: 200, lengthBytes: 100 } },
      ],
    ]);
    expect(plan).toMatchObject({ ranges: [{ offsetBytes: 200, lengthBytes: 100 }], knownBytes: 1000 });
  });

  test("asks once for a file that is its only chunk, and never for what has no content", () => {
    const asked: string[] = [];
    const find = (digest: string, sizeBytes: number) => {
      asked.push(`${digest} ${sizeBytes}`);
      return undefined;
    };
    expect(planPartialPull(toc(entry("dir", []), entry("a", [chunk("a", 10)])), find, costs).contents).toEqual([
      [],
      [expect.objectContaining({ kind: "frame" })],
    ]);
    expect(asked).toEqual(["a 1000"]);
  });

  test("fetches equal contents once", () => {
    const plan = planPartialPull(
      toc(entry("a", [chunk("same", 10)]), entry("b", [chunk("same", 500)], "b")),
      nothing,
      costs,
    );
    expect(plan.ranges).toEqual([{ offsetBytes: 10, lengthBytes: 100 }]);
    expect(plan.contents[1]).toEqual(plan.contents[0]);
  });

  test("bridges gaps up to the price of a request, and no larger ones", () => {
    const files = [entry("a", [chunk("a", 10)]), entry("b", [chunk("b", 120)]), entry("c", [chunk("c", 231)])];
    const plan = planPartialPull(toc(...files), nothing, costs);
    expect(plan.ranges).toEqual([
      { offsetBytes: 10, lengthBytes: 210 },
      { offsetBytes: 231, lengthBytes: 100 },
    ]);
    expect(plan).toMatchObject({ fetchBytes: 310, missingBytes: 300 });
  });

  test("bridges the smallest gaps until there are few enough requests", () => {
    const offsets = [10, 200, 1000, 1200, 5000];
    const files = offsets.map((offset) => entry(`${offset}`, [chunk(`${offset}`, offset)]));
    const ranges = (requests: number) =>
      planPartialPull(toc(...files), nothing, { bridgedBytes: 10, requests }).ranges.map(
        ({ offsetBytes }) => offsetBytes,
      );
    expect(ranges(5)).toEqual([10, 200, 1000, 1200, 5000]);
    expect(ranges(3)).toEqual([10, 1000, 5000]);
    expect(ranges(1)).toEqual([10]);
    expect(ranges(0)).toEqual([10]);
  });

  test("asks for less and takes more between, where requests that wait take longer than the bytes", () => {
    const files = Array.from({ length: 64 }, (_, i) => entry(`${i}`, [chunk(`${i}`, 1000 + 40_000 * i + 500 * i * i)]));
    const ranges = (link: { latencySeconds: number; bytesPerSecond: number }) =>
      planPartialPull(toc(...files), nothing, { ...costs, link: { ...link, requestsInFlight: 6 } }).ranges.length;
    expect(ranges({ latencySeconds: 0, bytesPerSecond: 0 })).toBe(64);
    expect(ranges({ latencySeconds: 0.01, bytesPerSecond: 1e8 })).toBe(64);
    expect(ranges({ latencySeconds: 0.3, bytesPerSecond: 1e8 })).toBe(8);
    expect(ranges({ latencySeconds: 0.3, bytesPerSecond: 1e5 })).toBe(64);
  });

  test("ranges hold every missing frame, do not overlap, and are as few as allowed, whatever the table says", () => {
    const frames = fc.array(fc.tuple(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 300 })), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(
        frames,
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 1, max: 10 }),
        (places, bridgedBytes, requests) => {
          const files = places.map(([offset, length], i) => entry(`${i}`, [chunk(`${i}`, offset, length)]));
          const { ranges } = planPartialPull(toc(...files), nothing, { bridgedBytes, requests });
          expect(ranges.length).toBeLessThanOrEqual(requests);
          ranges.slice(1).forEach((range, i) => {
            const before = ranges[i] ?? range;
            expect(range.offsetBytes - before.offsetBytes - before.lengthBytes).toBeGreaterThan(bridgedBytes);
          });
          for (const [offset, length] of places) {
            const holds = ranges.some(
              (r) => r.offsetBytes <= offset && offset + length <= r.offsetBytes + r.lengthBytes,
            );
            expect(holds).toBe(true);
          }
        },
      ),
    );
  });
});

test("weighGaps: is what the link could carry while a request waits, within bounds", () => {
  const link = { latencySeconds: 0.05, bytesPerSecond: 1_200_000, requestsInFlight: 6 };
  expect(weighGaps(link)).toBe(10_000);
  expect(weighGaps({ ...link, latencySeconds: 0 })).toBe(4096);
  expect(weighGaps({ ...link, bytesPerSecond: 1e9 })).toBe(16 * 1024);
});

describe("isWorthParts", () => {
  const link = { latencySeconds: 0.1, bytesPerSecond: 1e6, requestsInFlight: 5 };
  const whole = { fetchBytes: 10e6 };

  test("goes by bytes where nothing is known of the link", () => {
    expect(isWorthParts({ requests: 1000, fetchBytes: 9.8e6 }, whole, undefined)).toBe(true);
    expect(isWorthParts({ requests: 1, fetchBytes: 9.9e6 }, whole, undefined)).toBe(false);
    const unknown = { ...link, latencySeconds: 0, bytesPerSecond: 0 };
    expect(isWorthParts({ requests: 1000, fetchBytes: 9.8e6 }, whole, unknown)).toBe(true);
  });

  test("takes the whole where requests that wait take longer than its bytes", () => {
    expect(isWorthParts({ requests: 100, fetchBytes: 8e6 }, whole, link)).toBe(true);
    expect(isWorthParts({ requests: 100, fetchBytes: 9e6 }, whole, link)).toBe(false);
    expect(isWorthParts({ requests: 100, fetchBytes: 9e6 }, whole, { ...link, requestsInFlight: 20 })).toBe(true);
    expect(isWorthParts({ requests: 100, fetchBytes: 8e6 }, whole, { ...link, latencySeconds: 1 })).toBe(false);
    expect(isWorthParts({ requests: 100, fetchBytes: 9e6 }, whole, { ...link, bytesPerSecond: 1e5 })).toBe(true);
  });

  test("counts on a usual bandwidth where only the latency is known: small layers come whole over a laggy link", () => {
    const laggy = { latencySeconds: 0.3, bytesPerSecond: 0, requestsInFlight: 6 };
    expect(isWorthParts({ requests: 20, fetchBytes: 4e5 }, { fetchBytes: 8e5 }, laggy)).toBe(false);
    expect(isWorthParts({ requests: 20, fetchBytes: 4e6 }, { fetchBytes: 8e7 }, laggy)).toBe(true);
    expect(isWorthParts({ requests: 1, fetchBytes: 4e5 }, { fetchBytes: 8e5 }, laggy)).toBe(true);
  });

  test("takes the whole of a large layer where the link is so fast that only its latency counts", () => {
    const fast = { latencySeconds: 0, bytesPerSecond: 1e9, requestsInFlight: 6 };
    const parts = { requests: 24, fetchBytes: 45e6 };
    const layer = { fetchBytes: 102e6 };
    expect(isWorthParts(parts, layer, fast)).toBe(true);
    // Nearly all of it, but fewer bytes: what unpacking frames takes longer than a stream is no reason.
    expect(isWorthParts({ requests: 31, fetchBytes: 150e6 }, { fetchBytes: 153e6 }, fast)).toBe(true);
    expect(isWorthParts(parts, layer, { ...fast, latencySeconds: 0.3 })).toBe(false);
    expect(isWorthParts(parts, layer, { ...fast, latencySeconds: 0.3, bytesPerSecond: 20e6 })).toBe(true);
    expect(isWorthParts({ requests: 1, fetchBytes: 1e6 }, layer, { ...fast, latencySeconds: 0.3 })).toBe(true);
  });

  test("takes fewer bytes where the difference is noise", () => {
    const fast = { latencySeconds: 0.001, bytesPerSecond: 1e9, requestsInFlight: 6 };
    expect(isWorthParts({ requests: 96, fetchBytes: 50_000 }, { fetchBytes: 60_000 }, fast)).toBe(true);
  });
});

test("coveredBytes: counts what lies in any of several places once", () => {
  const range = { offsetBytes: 100, lengthBytes: 100 };
  const others = [
    { offsetBytes: 150, lengthBytes: 20 },
    { offsetBytes: 0, lengthBytes: 110 },
    { offsetBytes: 160, lengthBytes: 20 },
    { offsetBytes: 195, lengthBytes: 500 },
    { offsetBytes: 300, lengthBytes: 10 },
  ];
  expect(coveredBytes(range, others)).toBe(10 + 30 + 5);
  expect(coveredBytes(range, [])).toBe(0);
});
