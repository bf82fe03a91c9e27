import { expect, test } from "vitest";
import { compressZstd } from "../../../src/linux/zstd-encoder.ts";
import { unpackZstd } from "../../../src/repo/zstd-frames.ts";
import { content } from "../../builders/repos.ts";

test.each([0, 1, 4096, 3_000_000])("unpackZstd: gives back %d bytes", (sizeBytes) => {
  expect(Buffer.compare(unpackZstd(compressZstd(content(sizeBytes)), sizeBytes), content(sizeBytes))).toBe(0);
});

test("unpackZstd: several frames are one section", () => {
  const both = Buffer.concat([compressZstd(content(10)), compressZstd(content(20, 1))]);
  expect(unpackZstd(both, 30)).toEqual(new Uint8Array(Buffer.concat([content(10), content(20, 1)])));
});

test("unpackZstd: a bomb ends at the limit", () => {
  const bomb = compressZstd(new Uint8Array(64 * 1024 * 1024));
  expect(() => unpackZstd(bomb, 1_000_000)).toThrow(expect.objectContaining({ code: "limit-exceeded" }));
});

test("unpackZstd: damaged and cut off frames are damage", () => {
  const frame = compressZstd(content(1000));
  expect(() => unpackZstd(frame.subarray(0, frame.length - 1), 1000)).toThrow(
    expect.objectContaining({ code: "damaged" }),
  );
  expect(() => unpackZstd(content(100), 1000)).toThrow(expect.objectContaining({ code: "damaged" }));
});
