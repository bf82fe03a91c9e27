import { gzipSync } from "node:zlib";
import { assert } from "../core/errors.ts";
import { addressOf, findLibrary, fixedBuffer, keepAlive } from "./foreign.ts";
import { badGzip, type MemberStep } from "./zlib-stream.ts";

/**
 * Functions of Intel's Storage Acceleration Library, which inflates 1.3 to 1.9 times as fast as zlib. Debian 12 has
 * 2.30, Debian 13 has 2.31.
 *
 * @see https://github.com/intel/isa-l (include/igzip_lib.h)
 */
export interface Isal {
  readonly init: (state: Uint8Array) => void;
  readonly reset: (state: Uint8Array) => void;
  readonly inflate: (state: Uint8Array) => number;
}

/** Offsets in `struct inflate_state`, which are the same in both versions, and room for all of it. */
const fields = {
  nextOut: 0,
  availableOut: 8,
  nextIn: 16,
  availableIn: 32,
  blockState: 21160,
  checksum: 21172,
} as const;
const stateBytes = 128 * 1024;

/** `ISAL_GZIP_NO_HDR_VER`: content, CRC and length, which are checked. Headers are not read: see decision 0034. */
const contentAndTrailer = 6;
/** `ISAL_BLOCK_FINISH`: the checks are done. */
const finished = 5;

/** The library's answers that are no success. */
const refusals: ReadonlyMap<number, string> = new Map([
  [-1, "invalid block"],
  [-2, "invalid code"],
  [-3, "invalid distance too far back"],
  [-6, "incorrect data or length check"],
]);

/** What follows the header of each gzip member, by ISA-L. */
export class IsalStream {
  readonly #isal: Isal;
  /** Nothing is kept of where this is, but it is large. */
  readonly #state = fixedBuffer(stateBytes);

  constructor(isal: Isal) {
    this.#isal = isal;
    isal.init(this.#state);
    this.#state.writeUInt32LE(contentAndTrailer, fields.checksum);
  }

  /** Reads on in a member's content to the end of its trailer. What is behind that stays where it is. */
  inflate(input: Uint8Array, output: Uint8Array): MemberStep {
    const state = this.#state;
    state.writeBigUInt64LE(addressOf(input), fields.nextIn);
    state.writeUInt32LE(input.length, fields.availableIn);
    state.writeBigUInt64LE(addressOf(output), fields.nextOut);
    state.writeUInt32LE(output.length, fields.availableOut);
    const answer = this.#isal.inflate(state);
    keepAlive([input, output]);
    if (answer !== 0) throw badGzip(refusals.get(answer) ?? "ISA-L refuses it");
    const consumed = input.length - state.readUInt32LE(fields.availableIn);
    const produced = output.length - state.readUInt32LE(fields.availableOut);
    const isEnd = state.readUInt32LE(fields.blockState) === finished;
    // So that nothing it may meet can keep a caller waiting.
    if (consumed + produced === 0 && input.length > 0 && !isEnd) throw badGzip("ISA-L makes nothing of it");
    return { consumed, produced, reached: isEnd ? "end" : "content" };
  }

  /** Makes ready for another member. */
  restart(): void {
    this.#isal.reset(this.#state);
  }
}

/** Undefined where the library is not installed, or does not give what it was given. */
export function openIsalStream(): IsalStream | undefined {
  found ??= { isal: findIsal() };
  return found.isal && new IsalStream(found.isal);
}

/** This thread's. */
let found: { readonly isal: Isal | undefined } | undefined;

function findIsal(): Isal | undefined {
  // Before 2.32 it inflates wrongly on other processors: https://github.com/intel/isa-l/issues/316
  if (process.arch !== "x64") return undefined;
  const library = findLibrary(["libisal.so.2"], ["isal_inflate_init", "isal_inflate_reset", "isal_inflate"]);
  if (library === undefined) return undefined;
  const isal = {
    init: library.func("isal_inflate_init", "void", ["void *"]),
    reset: library.func("isal_inflate_reset", "void", ["void *"]),
    inflate: library.func("isal_inflate", "int", ["void *"]),
  };
  return isAsKnown(isal) ? isal : undefined;
}

const gzipHeaderBytes = 10;

/**
 * Whether `isal` has its fields where they are looked for: it reads two members, by pieces, and refuses a third. Ends with
 * whatever it is given.
 */
export function isAsKnown(isal: Isal): boolean {
  const content = Buffer.from(Array.from({ length: 10_000 }, (_, at) => `${at * at}`).join(""));
  const packed = gzipSync(content).subarray(gzipHeaderBytes);
  const output = Buffer.alloc(content.length + 1);
  try {
    const stream = new IsalStream(isal);
    for (let member = 0; member < 2; member++) {
      const length = readAll(stream, packed, output);
      if (length !== content.length || !content.equals(output.subarray(0, length))) return false;
      stream.restart();
    }
    packed.writeUInt32LE(content.length + 1, packed.length - 4);
    readAll(stream, packed, output);
    return false;
  } catch (error) {
    return error instanceof Error && error.message.endsWith(refusals.get(-6) ?? "");
  }
}

/** How many bytes `stream` gives until it says that it is at the end, which has to be where `packed` ends. */
function readAll(stream: IsalStream, packed: Uint8Array, output: Uint8Array): number {
  let [consumed, produced] = [0, 0];
  for (;;) {
    const room = output.subarray(produced, produced + 5000);
    const step = stream.inflate(packed.subarray(consumed, consumed + 3001), room);
    consumed += step.consumed;
    produced += step.produced;
    if (step.reached === "end") break;
    assert(step.consumed + step.produced > 0 && produced < output.length, "it goes on as long as it has no end");
  }
  assert(consumed === packed.length, "nothing is left, and no more is taken");
  return produced;
}
