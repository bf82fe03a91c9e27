import { type ByteSink, openZstdEncoder, type ZstdEncoder } from "./zstd-encoder.ts";

/** Frames up to this size are compressed in one call: their header tells their length, and libzstd takes small tables. */
const pendingLimitBytes = 128 * 1024;

/** Writes zstd frames one after the other, each with a check sum. Always `close`. */
export class ZstdFrameWriter {
  readonly #encoder: ZstdEncoder;
  readonly #sink: ByteSink;
  readonly #pending = new Uint8Array(pendingLimitBytes);
  #pendingBytes = 0;
  #isOpen = false;
  #writtenBytes = 0;

  /** @throws OsdeployError `unsupported` when libzstd is missing. */
  constructor(sink: ByteSink, level?: number) {
    this.#encoder = openZstdEncoder({ checksum: true, ...(level === undefined ? {} : { level }) });
    this.#sink = (bytes) => {
      this.#writtenBytes += bytes.length;
      sink(bytes);
    };
  }

  /** The next bytes for the frame that is open; opens one where none is. */
  write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#isOpen = true;
    if (this.#pendingBytes + bytes.length > pendingLimitBytes) {
      this.#encoder.encode(this.#takePending(), this.#sink);
      if (bytes.length > pendingLimitBytes) {
        this.#encoder.encode(bytes, this.#sink);
        return;
      }
    }
    this.#pending.set(bytes, this.#pendingBytes);
    this.#pendingBytes += bytes.length;
  }

  /** Ends the frame that is open, if one is. Returns how many bytes were written in all. */
  endFrame(): number {
    if (this.#isOpen) this.#encoder.finish(this.#sink, this.#takePending());
    this.#isOpen = false;
    return this.#writtenBytes;
  }

  /** Ends the stream, with an empty frame where there is none: nothing at all is no zstd. Returns its bytes in all. */
  finish(): number {
    this.#isOpen ||= this.#writtenBytes === 0;
    return this.endFrame();
  }

  close(): void {
    this.#encoder.close();
  }

  #takePending(): Uint8Array {
    const bytes = this.#pending.subarray(0, this.#pendingBytes);
    this.#pendingBytes = 0;
    return bytes;
  }
}
