import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { Compression } from "../../../src/core/oci/media-type.ts";
import { openLayerDecoder } from "../../../src/linux/layer-decoder.ts";
import { compressZstd } from "../../../src/linux/zstd-encoder.ts";
import { buildTar } from "../../builders/oci-layer.ts";

const tar = await buildTar([{ path: "usr/" }, { path: "usr/a", content: Buffer.alloc(3000, "content") }]);
const blobs: readonly (readonly [string, Uint8Array])[] = [
  ["plain", tar],
  ["gzip", gzipSync(tar)],
  ["zstd", compressZstd(tar)],
  ["two members of gzip", Buffer.concat([gzipSync(tar.subarray(0, 10)), gzipSync(tar.subarray(10))])],
];
const promises: readonly Compression[] = ["none", "gzip", "zstd"];

/** Decodes `bytes` in pieces of `push` bytes, with room for `room` bytes a call. */
function decode(promised: Compression, bytes: Uint8Array, { push, room }: { push: number; room: number }): Buffer {
  const decoder = openLayerDecoder(promised);
  const output: Buffer[] = [];
  try {
    for (let from = 0; from < bytes.length; from += push) {
      let input = Uint8Array.from(bytes.subarray(from, from + push));
      let step = { consumed: 0, produced: 0 };
      do {
        const window = new Uint8Array(room);
        step = decoder.decode(input, window);
        output.push(Buffer.from(window.subarray(0, step.produced)));
        input = input.subarray(step.consumed);
      } while (input.length > 0 || step.produced === room);
    }
    decoder.finish();
    return Buffer.concat(output);
  } finally {
    decoder.close();
  }
}

describe.each(promises)("openLayerDecoder for what is promised to be %s", (promised) => {
  test.each(blobs)("reads %s, in pieces of any size", (_, blob) => {
    for (const push of [1, 3, 500, 512, 513, 100_000]) {
      for (const room of [1, 511, 100_000]) {
        expect(decode(promised, blob, { push, room }).equals(tar), `${push} ${room}`).toBe(true);
      }
    }
  });

  test("reads a layer of no files, compressed or not, that is shorter than a block", () => {
    const none = new Uint8Array(1024);
    expect(decode(promised, new Uint8Array(0), { push: 1, room: 10 })).toHaveLength(0);
    for (const blob of [none, gzipSync(none), compressZstd(none)]) {
      expect(decode(promised, blob, { push: 100_000, room: 100_000 }).equals(none)).toBe(true);
    }
  });
});

test.each([
  ["gzip", 600, "Cannot decompress the gzip stream: incorrect header check"],
  ["zstd", 600, "Cannot decompress the zstd stream: Unknown frame descriptor"],
  ["gzip", 100, "Cannot decompress the layer: its 100 bytes are no gzip, no zstd and no tar"],
] as const)("openLayerDecoder: what is promised to be %s and is %i other bytes is refused", (promised, length, why) => {
  const bytes = Buffer.alloc(length, "no layer at all ");
  for (const push of [1, 1000]) expect(() => decode(promised, bytes, { push, room: 10_000 })).toThrow(why);
});

test("openLayerDecoder: two bytes that could be the start of gzip are no tar", () => {
  const why = "Cannot decompress the layer: its 2 bytes are no gzip, no zstd and no tar";
  expect(() => decode("none", Buffer.from("1f8b", "hex"), { push: 1, room: 10 })).toThrow(why);
});
