import { OsdeployError } from "../core/errors.ts";
import { addressOf, findLibrary, fixedBuffer } from "./foreign.ts";

/** libzstd's functions. Sizes it answers are read as signed, which makes its errors -1 to -120. */
export interface Libzstd {
  readonly createDecoder: () => unknown;
  readonly freeDecoder: (context: unknown) => number;
  readonly setDecoder: (context: unknown, parameter: number, value: number) => number;
  readonly decompress: (context: unknown, output: Uint8Array, input: Uint8Array) => number;
  readonly createEncoder: () => unknown;
  readonly freeEncoder: (context: unknown) => number;
  readonly setEncoder: (context: unknown, parameter: number, value: number) => number;
  readonly compress: (context: unknown, output: Uint8Array, input: Uint8Array, operation: number) => number;
  readonly errorName: (answer: number) => string;
}

/** Errors that mean something else than damaged bytes. */
export const zstdErrors = { windowTooLarge: -16 } as const;

let bound: Libzstd | undefined;

/** @throws OsdeployError `unsupported` when libzstd is missing; the text names the package. */
export function libzstd(): Libzstd {
  bound ??= bind();
  return bound;
}

function bind(): Libzstd {
  const library = findLibrary(["libzstd.so.1"], ["ZSTD_decompressStream", "ZSTD_compressStream2"]);
  if (library === undefined) {
    throw new OsdeployError("unsupported", "Cannot use zstd: libzstd.so.1 is missing; install libzstd1 or libzstd");
  }
  return {
    createDecoder: library.func("ZSTD_createDCtx", "void *", []),
    freeDecoder: library.func("ZSTD_freeDCtx", "int64", ["void *"]),
    setDecoder: library.func("ZSTD_DCtx_setParameter", "int64", ["void *", "int", "int"]),
    decompress: library.func("ZSTD_decompressStream", "int64", ["void *", "void *", "void *"]),
    createEncoder: library.func("ZSTD_createCCtx", "void *", []),
    freeEncoder: library.func("ZSTD_freeCCtx", "int64", ["void *"]),
    setEncoder: library.func("ZSTD_CCtx_setParameter", "int64", ["void *", "int", "int"]),
    compress: library.func("ZSTD_compressStream2", "int64", ["void *", "void *", "void *", "int"]),
    errorName: library.func("ZSTD_getErrorName", "str", ["int64"]),
  };
}

/** `ZSTD_inBuffer` or `ZSTD_outBuffer`: address, size, position; and the caller's bytes as long as they are in use. */
export class ZstdBuffer {
  readonly fields = fixedBuffer(24);
  #bytes: Uint8Array | undefined;

  /** Points at `bytes`. They stay referenced until {@link release}. */
  hold(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.fields.writeBigUInt64LE(addressOf(bytes), 0);
    this.fields.writeBigUInt64LE(BigInt(bytes.length), 8);
    this.fields.writeBigUInt64LE(0n, 16);
  }

  /** How far libzstd came. */
  get position(): number {
    return Number(this.fields.readBigUInt64LE(16));
  }

  get isUsedUp(): boolean {
    return this.position === this.#bytes?.length;
  }

  release(): void {
    this.#bytes = undefined;
  }
}
