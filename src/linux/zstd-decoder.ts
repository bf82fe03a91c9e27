import { assert, OsdeployError } from "../core/errors.ts";
import type { Decoder, DecodeStep } from "./decoder.ts";
import { libzstd, ZstdBuffer, zstdErrors } from "./libzstd.ts";

/** ZSTD_d_windowLogMax */
const windowLogMax = 100;

/**
 * The largest window a frame may ask for: 128 MiB of memory. The registry chooses the window, so it has a limit; it is
 * that of `zstd --long`, and libzstd's own, set here in case that changes.
 */
const windowLogLimit = 27;

/** @throws OsdeployError `unsupported` when libzstd is missing. */
export function openZstdDecoder(): Decoder {
  return new ZstdDecoder();
}

/**
 * All of `bytes`, frames one after the other, decompressed.
 *
 * @throws OsdeployError `limit-exceeded` when that is more than `limitBytes`, `bad-format` when it is damaged or cut.
 */
export function decompressZstd(bytes: Uint8Array, limitBytes: number): Uint8Array {
  const decoder = openZstdDecoder();
  try {
    let output = Buffer.allocUnsafeSlow(Math.min(limitBytes, Math.max(4096, 4 * bytes.length)) + 1);
    let consumed = 0;
    let produced = 0;
    for (;;) {
      const step = decoder.decode(bytes.subarray(consumed), output.subarray(produced));
      consumed += step.consumed;
      produced += step.produced;
      if (produced > limitBytes) throw tooMuch(limitBytes);
      if (produced < output.length) break;
      output = Buffer.concat([output], Math.min(2 * output.length, limitBytes + 1));
    }
    decoder.finish();
    return output.subarray(0, produced);
  } finally {
    decoder.close();
  }
}

class ZstdDecoder implements Decoder {
  readonly #context = libzstd().createDecoder();
  readonly #input = new ZstdBuffer();
  readonly #output = new ZstdBuffer();
  /** libzstd says 0 when a frame is complete and all of it is out; every other answer asks for more. */
  #state: "start" | "frame" | "between" = "start";
  #closed = false;

  constructor() {
    const answer = libzstd().setDecoder(this.#context, windowLogMax, windowLogLimit);
    assert(answer === 0, "libzstd accepts its own window limit");
  }

  decode(input: Uint8Array, output: Uint8Array): DecodeStep {
    assert(!this.#closed && output.length > 0, "an open decoder is given room");
    this.#input.hold(input);
    this.#output.hold(output);
    // A call ends at the end of a frame. Asking between frames without input would start one.
    while (this.#state === "frame" ? this.#step() : !this.#input.isUsedUp && this.#step());
    this.#input.release();
    this.#output.release();
    return { consumed: this.#input.position, produced: this.#output.position };
  }

  /** Whether more may come of the same input and room. */
  #step(): boolean {
    const answer = Number(libzstd().decompress(this.#context, this.#output.fields, this.#input.fields));
    if (answer < 0) throw refused(answer);
    this.#state = answer === 0 ? "between" : "frame";
    return this.#state === "between" && !this.#output.isUsedUp;
  }

  finish(): void {
    if (this.#state !== "between") throw badZstd("it ends too early");
  }

  close(): void {
    if (!this.#closed) libzstd().freeDecoder(this.#context);
    this.#closed = true;
  }
}

function refused(answer: number): OsdeployError {
  if (answer !== zstdErrors.windowTooLarge) return badZstd(libzstd().errorName(answer));
  const limit = `more than ${2 ** (windowLogLimit - 20)} MiB of memory`;
  return new OsdeployError("limit-exceeded", `Cannot decompress the zstd stream: it asks for ${limit}`);
}

function badZstd(why: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot decompress the zstd stream: ${why}`);
}

function tooMuch(limitBytes: number): OsdeployError {
  return new OsdeployError(
    "limit-exceeded",
    `Cannot decompress the zstd stream: it holds more than ${limitBytes} bytes`,
    { facts: { limitBytes } },
  );
}
