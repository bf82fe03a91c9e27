import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planBundledParts } from "../../../../src/core/oci/plan-bundle.ts";
import { planPartialPull } from "../../../../src/core/oci/plan-partial-pull.ts";
import type { ChunkedTables } from "../../../../src/core/oci/zstd-chunked-tables.ts";
import type { ChunkedToc, TocEntry } from "../../../../src/core/oci/zstd-chunked-toc.ts";

/** The tables of a layer with so many bytes of data. */
function tablesBehind(dataBytes: number): ChunkedTables {
  const table = { lengthBytes: 50, unpackedBytes: 200 };
  const tocAt = dataBytes + 8;
  return { toc: { offsetBytes: tocAt, ...table }, tarSplit: { offsetBytes: tocAt + 58, ...table }, tocDigest: "" };
}

const tableRange = (dataBytes: number) => ({ offsetBytes: dataBytes + 8, lengthBytes: 108 });

function entry(
  digest: string,
  ...chunks: readonly (readonly [string, number, number] | readonly [string])[]
): TocEntry {
  return {
    ...{ name: digest, digest, sizeBytes: chunks.length * 10 },
    chunks: chunks.map(([chunk, offsetBytes, lengthBytes]) => ({
      ...{ digest: chunk, sizeBytes: 10 },
      frame: offsetBytes === undefined || lengthBytes === undefined ? undefined : { offsetBytes, lengthBytes },
    })),
  };
}

function plan(entries: readonly TocEntry[], held: readonly string[], rangeLimit = 100) {
  const toc: ChunkedToc = { tarSplitDigest: "", entries };
  return planBundledParts({ toc, tables: tablesBehind(100_000) }, (digest) => held.includes(digest), rangeLimit);
}

describe("planBundledParts", () => {
  test("takes all frames of missing files, none of held ones, and the tables", () => {
    const entries = [
      entry("empty"),
      entry("held", ["1", 100, 50]),
      entry("new", ["1", 5000, 50], ["zeros"], ["2", 9000, 60]),
      entry("near", ["3", 9100, 60]),
    ];
    expect(plan(entries, ["held"])).toEqual([
      { offsetBytes: 5000, lengthBytes: 50 },
      { offsetBytes: 9000, lengthBytes: 160 },
      tableRange(100_000),
    ]);
    expect(plan(entries, ["held", "new", "near"])).toEqual([tableRange(100_000)]);
  });

  test("takes the first of equal files, and of equal parts of different files both", () => {
    const entries = [entry("a", ["1", 1000, 10]), entry("a", ["1", 4000, 10]), entry("b", ["1", 8000, 10])];
    expect(plan(entries, [])?.map(({ offsetBytes }) => offsetBytes)).toEqual([1000, 8000, 100_008]);
  });

  test("bridges more where there would be too many ranges", () => {
    const entries = [entry("a", ["a", 100, 10]), entry("b", ["b", 2000, 10]), entry("c", ["c", 50_000, 10])];
    expect(plan(entries, [], 2)).toEqual([
      { offsetBytes: 100, lengthBytes: 1910 },
      { offsetBytes: 50_000, lengthBytes: 10 },
      tableRange(100_000),
    ]);
  });

  test("leaves a layer whole of which nearly all is missing", () => {
    expect(plan([entry("a", ["a", 10, 98_000])], [])).toHaveLength(2);
    expect(plan([entry("a", ["a", 10, 98_001])], [])).toBeUndefined();
  });

  test("whoever holds at least what was counted on finds in the bundle all ranges that a pull asks for", () => {
    const digit = fc.constantFrom<string>("a", "b", "c", "d", "e", "f");
    const file = fc.record({ digest: digit, chunks: fc.array(digit, { minLength: 1, maxLength: 3 }) });
    const gap = fc.constantFrom(0, 10, 900, 1100, 5000);
    const files = fc.array(fc.tuple(file, gap), { maxLength: 12 });
    fc.assert(
      fc.property(files, fc.uniqueArray(digit), fc.uniqueArray(digit), (list, counted, besides) => {
        let at = 1;
        const entries = list.map(([{ digest, chunks }, before]) => {
          at += before;
          // What a file holds is its digest's to say.
          const name = `${digest}${chunks.join("")}`;
          const start = at;
          at += 20 * chunks.length;
          return entry(name, ...chunks.map((chunk, number) => [chunk, start + 20 * number, 20] as const));
        });
        const toc = { tarSplitDigest: "", entries };
        const isCounted = (digest: string) => counted.includes(digest.slice(0, 1));
        const held = planBundledParts({ toc, tables: tablesBehind(1_000_000) }, isCounted, 1000) ?? [];
        const find = (digest: string) =>
          (digest.length > 1 && isCounted(digest)) || besides.includes(digest) ? "here" : undefined;
        const asked = planPartialPull(toc, find, { bridgedBytes: 1024, requests: 1000 }).ranges;
        for (const range of asked) {
          const inside = held.some(
            ({ offsetBytes, lengthBytes }) =>
              offsetBytes <= range.offsetBytes && range.offsetBytes + range.lengthBytes <= offsetBytes + lengthBytes,
          );
          expect(inside).toBe(true);
        }
      }),
      { verbose: true },
    );
  });
});
