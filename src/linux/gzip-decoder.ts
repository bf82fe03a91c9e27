import { assert, OsdeployError } from "../core/errors.ts";
import type { Decoder, DecodeStep } from "./decoder.ts";
import { addressOf, findLibrary, fixedBuffer, foreign, keepAlive } from "./foreign.ts";

/** zlib's functions, of Node's own copy where it exports them, else the system's. */
interface Zlib {
  readonly inflateInit2: (stream: Uint8Array, windowBits: number, version: string, streamSize: number) => number;
  readonly inflate: (stream: Uint8Array, flush: number) => number;
  readonly inflateReset: (stream: Uint8Array) => number;
  readonly inflateEnd: (stream: Uint8Array) => number;
}

/** zlib's answers. */
const answers = { ok: 0, streamEnd: 1, bufferError: -5 } as const;

/** A window of 32 KiB, and gzip's framing only: zlib then checks CRC and length of each member. */
const gzipWindowBits = 15 + 16;

/** `struct z_stream` on a 64-bit machine. */
const zStream = { size: 112, nextIn: 0, availableIn: 8, nextOut: 24, availableOut: 32, message: 48 } as const;

const firstMagicByte = 0x1f;

let bound: Zlib | undefined;

function zlib(): Zlib {
  bound ??= bind();
  return bound;
}

function bind(): Zlib {
  const library = findLibrary([null, "libz.so.1"], ["inflateInit2_", "inflate", "inflateReset", "inflateEnd"]);
  if (library === undefined) {
    throw new OsdeployError(
      "unsupported",
      "Cannot decompress gzip: this Node does not export zlib and libz.so.1 is missing; install zlib1g or zlib",
    );
  }
  return {
    inflateInit2: library.func("inflateInit2_", "int", ["void *", "int", "str", "int"]),
    inflate: library.func("inflate", "int", ["void *", "int"]),
    inflateReset: library.func("inflateReset", "int", ["void *"]),
    inflateEnd: library.func("inflateEnd", "int", ["void *"]),
  };
}

/** @throws OsdeployError `unsupported` when no zlib can be called. */
export function openGzipDecoder(): Decoder {
  return new GzipDecoder();
}

class GzipDecoder implements Decoder {
  /** zlib keeps the address of this, so it must not move. */
  readonly #stream = fixedBuffer(zStream.size);
  #state: "start" | "member" | "between" | "padding" = "start";
  #closed = false;

  constructor() {
    const answer = zlib().inflateInit2(this.#stream, gzipWindowBits, "1.2.11", zStream.size);
    assert(answer === answers.ok, "zlib accepts a fresh stream");
  }

  decode(input: Uint8Array, output: Uint8Array): DecodeStep {
    assert(!this.#closed && output.length > 0, "an open decoder is given room");
    let consumed = 0;
    let produced = 0;
    for (;;) {
      if (!this.#inMember) consumed += this.#enterMember(input, consumed);
      // What is left of the input then waits for room, or there is none left.
      if (!this.#inMember || produced === output.length) return { consumed, produced };
      const step = this.#inflate(input.subarray(consumed), output.subarray(produced));
      consumed += step.consumed;
      produced += step.produced;
      if (this.#inMember) return { consumed, produced };
    }
  }

  get #inMember(): boolean {
    return this.#state === "member";
  }

  /** Skips zeros behind a member up to the next one or the end of `input`; returns how many. */
  #enterMember(input: Uint8Array, from: number): number {
    let at = from;
    while (this.#state !== "start" && at < input.length && input[at] === 0) {
      this.#state = "padding";
      at += 1;
    }
    if (at === input.length) return at - from;
    if (this.#state === "padding" || (this.#state === "between" && input[at] !== firstMagicByte)) {
      throw badGzip("something else follows it");
    }
    this.#state = "member";
    return at - from;
  }

  #inflate(input: Uint8Array, output: Uint8Array): DecodeStep {
    const stream = this.#stream;
    stream.writeBigUInt64LE(addressOf(input), zStream.nextIn);
    stream.writeUInt32LE(input.length, zStream.availableIn);
    stream.writeBigUInt64LE(addressOf(output), zStream.nextOut);
    stream.writeUInt32LE(output.length, zStream.availableOut);
    const answer = zlib().inflate(stream, 0);
    keepAlive([input, output]);
    if (answer === answers.streamEnd) {
      this.#state = "between";
      zlib().inflateReset(stream);
    } else if (answer !== answers.ok && answer !== answers.bufferError) {
      throw badGzip(this.#message());
    }
    return {
      consumed: input.length - stream.readUInt32LE(zStream.availableIn),
      produced: output.length - stream.readUInt32LE(zStream.availableOut),
    };
  }

  /** zlib's words for what is wrong. */
  #message(): string {
    const address = this.#stream.readBigUInt64LE(zStream.message);
    return address === 0n ? "zlib refuses it" : foreign().decode.string(address);
  }

  finish(): void {
    if (this.#state === "start" || this.#state === "member") throw badGzip("it ends too early");
  }

  close(): void {
    if (!this.#closed) zlib().inflateEnd(this.#stream);
    this.#closed = true;
  }
}

function badGzip(why: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot decompress the gzip stream: ${why}`);
}
