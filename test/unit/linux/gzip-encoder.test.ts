import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { gzipPieces } from "../../../src/linux/gzip-encoder.ts";

async function* pieces(count: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) yield Buffer.alloc(100_000, `${i}`);
}

test("gzipPieces: one member without name and time, and a reader may stop in the middle", async () => {
  const written: Uint8Array[] = [];
  for await (const piece of gzipPieces(pieces(5), 9)) written.push(piece);
  const all = Buffer.concat(written);
  expect(all.subarray(0, 9).toString("hex")).toBe("1f8b08000000000002");
  expect(gunzipSync(all).length).toBe(500_000);
  for await (const piece of gzipPieces(pieces(100_000), 1)) {
    expect(piece.length).toBeGreaterThan(0);
    break;
  }
});
