import { assert } from "../core/errors.ts";
import { fixedBuffer } from "./foreign.ts";
import { libzstd, ZstdBuffer } from "./libzstd.ts";

/** ZSTD_c_compressionLevel and ZSTD_c_checksumFlag */
const parameters = { level: 100, checksum: 201 } as const;

/** ZSTD_e_continue and ZSTD_e_end */
const operations = { more: 0, end: 2 } as const;

const outputBytes = 128 * 1024;
const nothing = new Uint8Array(0);

/** The level that the zstd program takes when it is given none. */
const defaultZstdLevel = 3;

/** Takes compressed bytes; they are only good during the call. */
export type ByteSink = (bytes: Uint8Array) => void;

/** One zstd frame being written. Always `close`. */
export interface ZstdEncoder {
  /** Compresses the next bytes. What is ready goes to `sink`, in pieces of at most 128 KiB. */
  encode(input: Uint8Array, sink: ByteSink): void;
  /** Compresses `last`, ends the frame and gives all that is left to `sink`. */
  finish(sink: ByteSink, last?: Uint8Array): void;
  /** Frees native memory. Calling it twice is fine. */
  close(): void;
}

/** @throws OsdeployError `unsupported` when libzstd is missing. */
export function openZstdEncoder(options: { readonly level?: number; readonly checksum?: boolean } = {}): ZstdEncoder {
  return new Encoder(options.level ?? defaultZstdLevel, options.checksum ?? false);
}

/**
 * `bytes` as one zstd frame whose header tells their length.
 *
 * @throws OsdeployError `unsupported` when libzstd is missing.
 */
export function compressZstd(bytes: Uint8Array, level = defaultZstdLevel): Uint8Array {
  const encoder = openZstdEncoder({ level });
  try {
    const pieces: Uint8Array[] = [];
    encoder.finish((piece) => pieces.push(Buffer.from(piece)), bytes);
    return Buffer.concat(pieces);
  } finally {
    encoder.close();
  }
}

class Encoder implements ZstdEncoder {
  readonly #context = libzstd().createEncoder();
  readonly #input = new ZstdBuffer();
  readonly #output = new ZstdBuffer();
  readonly #window = fixedBuffer(outputBytes);
  #closed = false;

  constructor(level: number, checksum: boolean) {
    this.#checked(libzstd().setEncoder(this.#context, parameters.level, level));
    this.#checked(libzstd().setEncoder(this.#context, parameters.checksum, checksum ? 1 : 0));
  }

  encode(input: Uint8Array, sink: ByteSink): void {
    this.#input.hold(input);
    while (!this.#input.isUsedUp) this.#step(operations.more, sink);
    this.#input.release();
  }

  finish(sink: ByteSink, last: Uint8Array = nothing): void {
    this.#input.hold(last);
    while (this.#step(operations.end, sink) !== 0);
    this.#input.release();
  }

  /** Returns what libzstd still has to give. */
  #step(operation: number, sink: ByteSink): number {
    assert(!this.#closed, "an encoder is used before it is closed");
    this.#output.hold(this.#window);
    const left = this.#checked(libzstd().compress(this.#context, this.#output.fields, this.#input.fields, operation));
    if (this.#output.position > 0) sink(this.#window.subarray(0, this.#output.position));
    return left;
  }

  /** Nothing that comes from outside makes compression fail. */
  #checked(answer: number): number {
    const size = Number(answer);
    assert(size >= 0, `libzstd compresses: ${size < 0 ? libzstd().errorName(size) : ""}`);
    return size;
  }

  close(): void {
    if (!this.#closed) libzstd().freeEncoder(this.#context);
    this.#closed = true;
  }
}
