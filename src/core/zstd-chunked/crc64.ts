/**
 * What each byte puts into the upper 16 bits of the sum. The polynomial (ISO 3309, reflected 0xD800000000000000) has only
 * bits up there, so eight steps never reach further down.
 */
const table = new Uint16Array(256);
for (let byte = 0; byte < 256; byte++) {
  // Bits that are shifted out below these 16 belong to no table entry: the byte itself stands in the lowest eight.
  let low = byte;
  let high = 0;
  for (let bit = 0; bit < 8; bit++) {
    const isSet = low & 1;
    low >>>= 1;
    high = (high >>> 1) ^ (isSet === 1 ? 0xd800 : 0);
  }
  table[byte] = high;
}

/**
 * The CRC-64 that a tar-split keeps of each file: as Go's `hash/crc64` with the ISO table. It guards against accidents,
 * not against anybody.
 *
 * @see https://pkg.go.dev/hash/crc64
 */
export class Crc64 {
  #low = 0xffff_ffff;
  #high = 0xffff_ffff;

  update(bytes: Uint8Array): void {
    let low = this.#low;
    let high = this.#high;
    let at = 0;
    // Four bytes at a time: what the first puts in comes down to the lowest byte only after six further steps.
    for (; at + 4 <= bytes.length; at += 4) {
      const a = entry(bytes, at, low);
      const b = entry(bytes, at + 1, low >>> 8);
      const c = entry(bytes, at + 2, low >>> 16);
      const d = entry(bytes, at + 3, low >>> 24);
      low = high ^ (a << 24);
      high = (a >>> 8) ^ b ^ (c << 8) ^ (d << 16);
    }
    for (; at < bytes.length; at++) {
      const put = entry(bytes, at, low);
      low = (low >>> 8) | (high << 24);
      high = (high >>> 8) ^ (put << 16);
    }
    this.#low = low;
    this.#high = high;
  }

  /** The sum of all bytes so far, big endian. */
  value(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, ~this.#high);
    view.setUint32(4, ~this.#low);
    return bytes;
  }
}

function entry(bytes: Uint8Array, at: number, state: number): number {
  return table[((bytes[at] as number) ^ state) & 0xff] as number;
}
