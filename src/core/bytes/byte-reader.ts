import { OsdeployError } from "../errors.ts";
import { type ByteString, fromBytes } from "./byte-string.ts";

/** Reads little-endian numbers and bytes at any offset of bytes that somebody else made. */
export class ByteReader {
  readonly length: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #subject: string;

  /** `subject` names the bytes in errors: "EROFS image". */
  constructor(bytes: Uint8Array, subject: string) {
    this.length = bytes.length;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#subject = subject;
  }

  /** @throws OsdeployError `bad-format` when the byte is not there. So do the other methods. */
  u8(offset: number): number {
    this.check(offset, 1);
    return this.#view.getUint8(offset);
  }

  u16(offset: number): number {
    this.check(offset, 2);
    return this.#view.getUint16(offset, true);
  }

  u32(offset: number): number {
    this.check(offset, 4);
    return this.#view.getUint32(offset, true);
  }

  u64(offset: number): bigint {
    this.check(offset, 8);
    return this.#view.getBigUint64(offset, true);
  }

  /** Signed 64 bits. */
  i64(offset: number): bigint {
    this.check(offset, 8);
    return this.#view.getBigInt64(offset, true);
  }

  /** The bytes from `offset` on, copied. */
  string(offset: number, length: number): ByteString {
    this.check(offset, length);
    return fromBytes(this.#bytes, offset, offset + length);
  }

  /** Checks that there are `length` bytes at `offset`. */
  check(offset: number, length: number): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.length)) {
      throw new OsdeployError(
        "bad-format",
        `Cannot read the ${this.#subject}: it points to ${length} bytes at ${offset}, and is ${this.length} bytes long`,
      );
    }
  }
}
