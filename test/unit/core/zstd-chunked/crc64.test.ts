import { expect, test } from "vitest";
import { Crc64 } from "../../../../src/core/zstd-chunked/crc64.ts";

function crcOf(...pieces: readonly string[]): string {
  const crc = new Crc64();
  for (const piece of pieces) crc.update(Buffer.from(piece, "latin1"));
  return Buffer.from(crc.value()).toString("hex");
}

/** Bit by bit, as the polynomial has it. */
function slowCrc(bytes: Uint8Array): string {
  let crc = 0xffff_ffff_ffff_ffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0xd800_0000_0000_0000n : crc >> 1n;
  }
  return (crc ^ 0xffff_ffff_ffff_ffffn).toString(16).padStart(16, "0");
}

test("Crc64: the check value of CRC-64/GO-ISO", () => {
  expect(crcOf("123456789")).toBe("b90956c775a41001");
  expect(crcOf()).toBe("0000000000000000");
});

test("Crc64: the same whatever the pieces are", () => {
  const text = Array.from({ length: 300 }, (_, i) => String.fromCharCode((i * 37) % 256)).join("");
  const whole = slowCrc(Buffer.from(text, "latin1"));
  for (const cut of [0, 1, 2, 3, 5, 64, 299]) expect(crcOf(text.slice(0, cut), text.slice(cut))).toBe(whole);
});
