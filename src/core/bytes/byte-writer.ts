import { assert } from "../errors.ts";
import { type ByteString, writeBytes } from "./byte-string.ts";
import { writeHex } from "./hex.ts";

/** Strings longer than this are worth a call of the encoder, which copies ASCII much faster. */
const encoderThreshold = 32;
const encoder = new TextEncoder();

/**
 * Writes little-endian numbers and bytes one after the other into an array of known size.
 *
 * The size was computed before, so that running over the end is a bug of osdeploy and never of its input: numbers throw
 * a `RangeError` there, bytes fail an assertion.
 */
export class ByteWriter {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The same bytes, for numbers at known offsets. */
  readonly view: DataView;
  /** Where the next thing goes, in bytes from the start. */
  offset = 0;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
  }

  u8(value: number): void {
    this.view.setUint8(this.offset, value);
    this.offset += 1;
  }

  /** The low 16 bits of `value`. */
  u16(value: number): void {
    this.view.setUint16(this.offset, value, true);
    this.offset += 2;
  }

  /** The low 32 bits of `value`. */
  u32(value: number): void {
    this.view.setUint32(this.offset, value, true);
    this.offset += 4;
  }

  /** `value` in 64 bits, where it is a whole number that a double holds exactly. */
  safe64(value: number): void {
    this.u32(value);
    this.u32(Math.floor(value / 2 ** 32));
  }

  string(string: ByteString): void {
    const end = this.offset + string.length;
    assert(end <= this.bytes.length, "the size was computed for all that is written");
    if (string.length <= encoderThreshold || !this.#encode(string, end)) writeBytes(string, this.bytes, this.offset);
    this.offset = end;
  }

  /** Writes a string that is ASCII, and says whether it is. Whatever is none takes more bytes than there are here. */
  #encode(string: ByteString, end: number): boolean {
    return encoder.encodeInto(string, this.bytes.subarray(this.offset, end)).read === string.length;
  }

  /** The bytes that the lower-case hex `text` stands for; the caller has checked that it is some. */
  hex(text: string): void {
    assert(this.offset + text.length / 2 <= this.bytes.length, "the size was computed for all that is written");
    writeHex(text, this.bytes, this.offset);
    this.offset += text.length / 2;
  }

  /** All of `source`. */
  copy(source: Uint8Array): void {
    this.bytes.set(source, this.offset);
    this.offset += source.length;
  }

  /** `count` times the byte `value`. */
  fill(value: number, count: number): void {
    assert(this.offset + count <= this.bytes.length, "the size was computed for all that is written");
    this.bytes.fill(value, this.offset, this.offset + count);
    this.offset += count;
  }
}
