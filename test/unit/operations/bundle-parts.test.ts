import { beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { assert } from "../../../src/core/errors.ts";
import { planBundledParts } from "../../../src/core/oci/plan-bundle.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { findChunkedTables } from "../../../src/core/oci/zstd-chunked-tables.ts";
import { openImageSource } from "../../../src/image-source/open-image-source.ts";
import { fetchParts, type PartsToFetch } from "../../../src/operations/bundle-parts.ts";
import { fetchToc } from "../../../src/operations/plan-image.ts";
import { images } from "../../builders/bundles.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  machineWith,
  noLogin,
  systemOn,
} from "../../builders/operation-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

let linux: FakeLinux;
let work: PartsToFetch;
beforeEach(async () => {
  linux = machineWith(images);
  const source = openImageSource(parseImageReference(layoutReference("v2")), linux, noLogin);
  const layer = (await source.resolve(linuxAmd64)).layers[1];
  const tables = layer && findChunkedTables(layer);
  assert(layer !== undefined && tables !== undefined, "the image has a second layer with tables");
  const toc = await fetchToc(source, layer, tables);
  assert(toc !== undefined, "they can be read");
  const held = new Set(toc.entries.slice(0, 20).map(({ digest }) => digest));
  const ranges = planBundledParts({ toc, tables }, (digest) => held.has(digest), 1000);
  assert(ranges !== undefined, "a part of the layer is enough");
  work = { source, layer, tables, toc, ranges, path: fromText("/parts"), advance: () => {} };
});

/** The source, whose second answer about the tables has one byte that is another one. */
function lying(at: number): PartsToFetch["source"] {
  const { source, tables } = work;
  return {
    describe: () => source.describe(),
    reference: () => source.reference(),
    registry: () => undefined,
    bundle: () => undefined,
    resolve: (platform) => source.resolve(platform),
    close: () => source.close(),
    resolveIndex: async () => undefined,
    locateBlob: () => undefined,
    openBlob: (blob) => source.openBlob(blob),
    async *readBlobRange(blob, range) {
      const bytes: Uint8Array[] = [];
      for await (const piece of source.readBlobRange(blob, range)) bytes.push(piece.slice());
      const whole = Buffer.concat(bytes);
      const place = at - range.offsetBytes;
      if (range.offsetBytes === tables.toc.offsetBytes) whole[place] = (whole[place] ?? 0) ^ 0xff;
      yield whole;
    },
  };
}

describe("fetchParts", () => {
  test("puts the parts into one file, the tables last", async () => {
    const { ranges, blob } = await fetchParts(systemOn(linux), work);
    expect(ranges.at(-1)?.offsetBytes).toBe(work.tables.toc.offsetBytes);
    expect(blob.sizeBytes).toBe(work.ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0));
    expect(linux.openPaths).toEqual([]);
  });

  test("refuses a table of contents that is another one than what the parts were chosen by", async () => {
    const source = lying(work.tables.toc.offsetBytes + 20);
    expect(await failureOf(fetchParts(systemOn(linux), { ...work, source }))).toMatchObject({
      code: "digest-mismatch",
      message: expect.stringContaining("Cannot use the layer's table of contents"),
    });
    expect(linux.openPaths).toEqual([]);
  });

  test("refuses a tar-split that is another one than the table of contents says", async () => {
    const source = lying(work.tables.tarSplit.offsetBytes + 20);
    expect(await failureOf(fetchParts(systemOn(linux), { ...work, source }))).toMatchObject({
      code: "digest-mismatch",
      message: expect.stringContaining("Cannot use the layer's tar-split"),
    });
    expect(linux.openPaths).toEqual([]);
  });

  test("refuses contents that are said to be far more than their frames could hold, before it unpacks them", async () => {
    const sizeBytes = 2 * 1024 ** 3;
    const entries = work.toc.entries.map((entry) => ({
      ...entry,
      chunks: entry.chunks.map((chunk) => ({ ...chunk, sizeBytes })),
    }));
    expect(await failureOf(fetchParts(systemOn(linux), { ...work, toc: { ...work.toc, entries } }))).toMatchObject({
      code: "limit-exceeded",
      message: expect.stringMatching(/^Cannot bundle layer sha256:[0-9a-f]+: it grows too much$/),
    });
    expect(linux.openPaths).toEqual([]);
  });
});
