import type { ByteString } from "../bytes/byte-string.ts";

const prime1 = 0x9e3779b1;
const prime2 = 0x85ebca77;
const prime3 = 0xc2b2ae3d;
const prime4 = 0x27d4eb2f;
const prime5 = 0x165667b1;

/**
 * The 32-bit xxHash of `bytes`, unsigned.
 *
 * @see https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */
export function xxh32(bytes: ByteString, seed: number): number {
  let at = 0;
  let sum = (seed + prime5) | 0;
  if (bytes.length >= 16) {
    const lanes = [seed + prime1 + prime2, seed + prime2, seed, seed - prime1];
    for (; at + 16 <= bytes.length; at += 16) {
      for (const [i, lane] of lanes.entries()) lanes[i] = round(lane, u32At(bytes, at + 4 * i));
    }
    const [a = 0, b = 0, c = 0, d = 0] = lanes;
    sum = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0;
  }
  sum = (sum + bytes.length) | 0;
  for (; at + 4 <= bytes.length; at += 4) {
    sum = Math.imul(rotate((sum + Math.imul(u32At(bytes, at), prime3)) | 0, 17), prime4);
  }
  for (; at < bytes.length; at++) {
    sum = Math.imul(rotate((sum + Math.imul(bytes.charCodeAt(at), prime5)) | 0, 11), prime1);
  }
  return avalanche(sum);
}

function round(lane: number, input: number): number {
  return Math.imul(rotate((lane + Math.imul(input, prime2)) | 0, 13), prime1);
}

function avalanche(sum: number): number {
  let mixed = Math.imul(sum ^ (sum >>> 15), prime2);
  mixed = Math.imul(mixed ^ (mixed >>> 13), prime3);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function u32At(bytes: ByteString, at: number): number {
  return (
    bytes.charCodeAt(at) |
    (bytes.charCodeAt(at + 1) << 8) |
    (bytes.charCodeAt(at + 2) << 16) |
    (bytes.charCodeAt(at + 3) << 24)
  );
}
