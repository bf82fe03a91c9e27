import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { decompress as judgeDecompress } from "@mongodb-js/zstd";
import { describe, expect, test } from "vitest";
import type { Compression } from "../../src/core/oci/media-type.ts";
import { openDecoder } from "../../src/linux/open-decoder.ts";
import { decompressZstd } from "../../src/linux/zstd-decoder.ts";
import { compressZstd, openZstdEncoder } from "../../src/linux/zstd-encoder.ts";

/** Runs a program with `input`; its output. */
function run(program: string, args: readonly string[], input: Uint8Array): Buffer {
  const { stdout, status, stderr, error } = spawnSync(program, args, { input, maxBuffer: 1 << 30 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

function isThere(program: string): boolean {
  return spawnSync(program, ["--version"]).error === undefined;
}

function decode(compression: Compression, bytes: Uint8Array, push = 100_000): Buffer {
  const decoder = openDecoder(compression);
  const pieces: Buffer[] = [];
  const window = Buffer.alloc(1 << 18);
  for (let at = 0; at < bytes.length; at += push) {
    let input = bytes.subarray(at, at + push);
    for (;;) {
      const { consumed, produced } = decoder.decode(input, window);
      pieces.push(Buffer.from(window.subarray(0, produced)));
      input = input.subarray(consumed);
      if (input.length === 0 && produced < window.length) break;
    }
  }
  decoder.finish();
  decoder.close();
  return Buffer.concat(pieces);
}

const samples: readonly { readonly name: string; readonly bytes: Buffer }[] = [
  { name: "nothing", bytes: Buffer.alloc(0) },
  { name: "one byte", bytes: Buffer.from("x") },
  { name: "zeros", bytes: Buffer.alloc(5_000_000) },
  { name: "noise", bytes: randomBytes(3_000_000) },
  { name: "text", bytes: Buffer.from(Array.from({ length: 200_000 }, (_, at) => `line ${at * at}\n`).join("")) },
];

describe.skipIf(!isThere("zstd"))("zstd program (needs zstd)", () => {
  describe.each(samples)("$name", ({ bytes }) => {
    test.each(["-1", "-3", "-19", "--ultra -22 --long=27", "--no-check"])(
      "decoder: reads what zstd %s writes",
      (options) => {
        const packed = run("zstd", ["-c", ...options.split(" ")], bytes.subarray(0, 1_000_000));
        for (const push of [1 << 17, 997]) {
          expect(decode("zstd", packed, push).equals(bytes.subarray(0, 1_000_000))).toBe(true);
        }
      },
    );

    test("encoder: zstd reads what it writes, with and without a checksum", () => {
      expect(run("zstd", ["-dc"], compressZstd(bytes)).equals(bytes)).toBe(true);
      const encoder = openZstdEncoder({ checksum: true, level: 7 });
      const pieces: Buffer[] = [];
      const sink = (piece: Uint8Array) => pieces.push(Buffer.from(piece));
      for (let at = 0; at < bytes.length; at += 77_777) encoder.encode(bytes.subarray(at, at + 77_777), sink);
      encoder.finish(sink);
      encoder.close();
      const packed = Buffer.concat(pieces);
      expect(run("zstd", ["-dc"], packed).equals(bytes)).toBe(true);
    });
  });

  test("decoder: takes and refuses the same damaged streams as zstd", () => {
    const good = run("zstd", ["-c"], Buffer.from("some words, some words, and some words again"));
    for (let at = 0; at < good.length; at += 1) {
      const damaged = Buffer.from(good);
      damaged[at] = (damaged[at] ?? 0) ^ 0x01;
      const theirs = spawnSync("zstd", ["-dc"], { input: damaged });
      let ours: Buffer | undefined;
      try {
        ours = decode("zstd", damaged);
      } catch {
        ours = undefined;
      }
      expect(ours?.toString("hex"), `byte ${at}`).toBe(theirs.status === 0 ? theirs.stdout.toString("hex") : undefined);
    }
  });
});

describe("@mongodb-js/zstd", () => {
  test.each(samples)("reads what the encoder writes, and decompressZstd agrees: $name", async ({ bytes }) => {
    const packed = compressZstd(bytes);
    expect((await judgeDecompress(Buffer.from(packed))).equals(bytes)).toBe(true);
    expect(Buffer.compare(decompressZstd(packed, bytes.length), bytes)).toBe(0);
  });
});

describe.skipIf(!isThere("gzip"))("gzip program (needs gzip)", () => {
  test.each(samples)("decoder: reads what gzip writes, one member and two: $name", ({ bytes }) => {
    for (const level of ["-1", "-9"]) {
      const packed = run("gzip", ["-c", level], bytes);
      expect(decode("gzip", packed).equals(bytes)).toBe(true);
      expect(decode("gzip", Buffer.concat([packed, packed]), 9973).equals(Buffer.concat([bytes, bytes]))).toBe(true);
    }
  });

  test("decoder: takes zeros behind the stream, as gzip does", () => {
    const padded = Buffer.concat([run("gzip", ["-c"], Buffer.from("hello")), Buffer.alloc(512)]);
    expect(run("gzip", ["-dc"], padded).toString()).toBe("hello");
    expect(decode("gzip", padded).toString()).toBe("hello");
  });
});
