import { assert } from "../core/errors.ts";
import type { Decoder, DecodeStep } from "./decoder.ts";
import { type IsalStream, openIsalStream } from "./isal-stream.ts";
import { badGzip, type MemberStep, ZlibStream } from "./zlib-stream.ts";

const firstMagicByte = 0x1f;

/** @throws OsdeployError `unsupported` when no zlib can be called. */
export function openGzipDecoder(): Decoder {
  return new GzipDecoder(openIsalStream());
}

/** zlib reads the headers of members, and their contents where there is no ISA-L. */
export class GzipDecoder implements Decoder {
  readonly #zlib = new ZlibStream();
  readonly #isal: IsalStream | undefined;
  #state: "start" | "header" | "content" | "between" | "padding" = "start";
  #closed = false;

  constructor(isal: IsalStream | undefined) {
    this.#isal = isal;
  }

  decode(input: Uint8Array, output: Uint8Array): DecodeStep {
    assert(!this.#closed && output.length > 0, "an open decoder is given room");
    let consumed = 0;
    let produced = 0;
    for (;;) {
      if (!this.#inMember) consumed += this.#enterMember(input, consumed);
      // What is left of the input then waits for room, or there is none left.
      if (!this.#inMember || produced === output.length) return { consumed, produced };
      const before = this.#state;
      const step = this.#readMember(input.subarray(consumed), output.subarray(produced));
      consumed += step.consumed;
      produced += step.produced;
      if (this.#state === before) return { consumed, produced };
    }
  }

  get #inMember(): boolean {
    return this.#state === "header" || this.#state === "content";
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
    this.#state = "header";
    return at - from;
  }

  /** Reads on in the member, and takes note of what follows. */
  #readMember(input: Uint8Array, output: Uint8Array): DecodeStep {
    const step = this.#readOn(input, output);
    if (step.reached === "end") {
      this.#zlib.restart();
      this.#isal?.restart();
      this.#state = "between";
    } else {
      this.#state = step.reached;
    }
    return step;
  }

  #readOn(input: Uint8Array, output: Uint8Array): MemberStep {
    if (this.#isal === undefined) return this.#zlib.inflate(input, output);
    return this.#state === "header" ? this.#zlib.readHeader(input, output) : this.#isal.inflate(input, output);
  }

  finish(): void {
    if (this.#state === "start" || this.#inMember) throw badGzip("it ends too early");
  }

  close(): void {
    if (!this.#closed) this.#zlib.close();
    this.#closed = true;
  }
}
