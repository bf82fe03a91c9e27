import { assert, OsdeployError } from "../core/errors.ts";
import type { DecodeStep } from "./decoder.ts";
import { addressOf, findLibrary, fixedBuffer, foreign, keepAlive } from "./foreign.ts";

/** What a call that reads a gzip member did. */
export interface MemberStep extends DecodeStep {
  /** Whether what follows is the member's content, or has no more of it. */
  readonly reached: "header" | "content" | "end";
}

/** zlib's functions, of Node's own copy where it exports them, else the system's. */
interface Zlib {
  readonly inflateInit2: (stream: Uint8Array, windowBits: number, version: string, streamSize: number) => number;
  readonly inflate: (stream: Uint8Array, flush: number) => number;
  readonly inflateReset: (stream: Uint8Array) => number;
  readonly inflateEnd: (stream: Uint8Array) => number;
}

/** zlib's answers. */
const answers = { ok: 0, streamEnd: 1, bufferError: -5 } as const;

/** How far zlib is to go. `block` stops behind the header, and behind each block. */
const flushes = { none: 0, block: 5 } as const;

/** Of `data_type`: zlib stands behind the header, or between two blocks. */
const betweenBlocks = 128;

/** A window of 32 KiB, and gzip's framing only: zlib then checks CRC and length of each member. */
const gzipWindowBits = 15 + 16;

/** `struct z_stream` on a 64-bit machine. */
const zStream = {
  size: 112,
  nextIn: 0,
  availableIn: 8,
  nextOut: 24,
  availableOut: 32,
  message: 48,
  dataType: 88,
} as const;

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

/** Members of gzip, one after the other, by zlib. */
export class ZlibStream {
  /** zlib keeps the address of this, so it must not move. */
  readonly #stream = fixedBuffer(zStream.size);

  /** @throws OsdeployError `unsupported` when no zlib can be called. */
  constructor() {
    const answer = zlib().inflateInit2(this.#stream, gzipWindowBits, "1.2.11", zStream.size);
    assert(answer === answers.ok, "zlib accepts a fresh stream");
  }

  /** Reads on in a member, and stops behind its header. Nothing of the content is read with it. */
  readHeader(input: Uint8Array, output: Uint8Array): MemberStep {
    return this.#inflate(input, output, flushes.block);
  }

  /** Reads on in a member to its end. */
  inflate(input: Uint8Array, output: Uint8Array): MemberStep {
    return this.#inflate(input, output, flushes.none);
  }

  /** Makes ready for another member. */
  restart(): void {
    zlib().inflateReset(this.#stream);
  }

  close(): void {
    zlib().inflateEnd(this.#stream);
  }

  #inflate(input: Uint8Array, output: Uint8Array, flush: number): MemberStep {
    const stream = this.#stream;
    stream.writeBigUInt64LE(addressOf(input), zStream.nextIn);
    stream.writeUInt32LE(input.length, zStream.availableIn);
    stream.writeBigUInt64LE(addressOf(output), zStream.nextOut);
    stream.writeUInt32LE(output.length, zStream.availableOut);
    const answer = zlib().inflate(stream, flush);
    keepAlive([input, output]);
    const isEnd = answer === answers.streamEnd;
    if (!isEnd && answer !== answers.ok && answer !== answers.bufferError) throw badGzip(this.#message());
    const isContent = flush === flushes.none || (stream.readUInt32LE(zStream.dataType) & betweenBlocks) !== 0;
    return {
      consumed: input.length - stream.readUInt32LE(zStream.availableIn),
      produced: output.length - stream.readUInt32LE(zStream.availableOut),
      reached: isEnd ? "end" : isContent ? "content" : "header",
    };
  }

  /** zlib's words for what is wrong. */
  #message(): string {
    const address = this.#stream.readBigUInt64LE(zStream.message);
    return address === 0n ? "zlib refuses it" : foreign().decode.string(address);
  }
}

export function badGzip(why: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot decompress the gzip stream: ${why}`);
}
