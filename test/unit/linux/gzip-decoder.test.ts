import { constants, deflateRawSync, gzipSync, type ZlibOptions } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OsdeployError } from "../../../src/core/errors.ts";
import { GzipDecoder, openGzipDecoder } from "../../../src/linux/gzip-decoder.ts";
import { openIsalStream } from "../../../src/linux/isal-stream.ts";

const isHere = openIsalStream() !== undefined;
const without = isHere ? "" : " (skipped: needs Debian's libisal2, and a processor of the x86-64 kind)";

const engines = [
  { name: "zlib", isSkipped: false, why: "", open: () => new GzipDecoder(undefined) },
  { name: "ISA-L", isSkipped: !isHere, why: without, open: openGzipDecoder },
] as const;
type Engine = (typeof engines)[number];

/** Decodes `bytes` in pieces whose lengths come from `pushes`, into windows whose lengths come from `rooms`, in turns. */
function decode(engine: Engine, bytes: Uint8Array, pushes = [1 << 17], rooms = [1 << 16]): Buffer {
  const decoder = engine.open();
  const output: Buffer[] = [];
  let [turn, from] = [0, 0];
  try {
    while (from < bytes.length) {
      const push = pushes[turn % pushes.length] ?? 1;
      let input = Uint8Array.from(bytes.subarray(from, from + push));
      from += push;
      let isFull = true;
      while (input.length > 0 || isFull) {
        const window = new Uint8Array(rooms[turn % rooms.length] ?? 1);
        turn += 1;
        const step = decoder.decode(input, window);
        isFull = step.produced === window.length;
        output.push(Buffer.from(window.subarray(0, step.produced)));
        input = input.subarray(step.consumed);
      }
    }
    decoder.finish();
    return Buffer.concat(output);
  } finally {
    decoder.close();
  }
}

/** What `engine` makes of `bytes`: their content, or why it refuses them. */
function outcome(engine: Engine, bytes: Uint8Array, pushes?: number[], rooms?: number[]): Buffer | string {
  try {
    return decode(engine, bytes, pushes, rooms);
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "bad-format") return error.message;
    throw error;
  }
}

const failure = (why: string) => `Cannot decompress the gzip stream: ${why}`;

/** Contents of all kinds: noise, runs, and what repeats at a distance. */
const contents = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.nat(255), fc.nat(70_000)).map(([byte, length]) => new Uint8Array(length).fill(byte)),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(2000))
        .map(([bytes, times]) => Buffer.concat(Array.from({ length: times }, () => bytes))),
    ),
    { maxLength: 6 },
  )
  .map((parts) => Buffer.concat(parts));

const packings: fc.Arbitrary<ZlibOptions> = fc.record({
  level: fc.integer({ min: 0, max: 9 }),
  memLevel: fc.integer({ min: 1, max: 9 }),
  windowBits: fc.integer({ min: 9, max: 15 }),
  strategy: fc.constantFrom(constants.Z_DEFAULT_STRATEGY, constants.Z_HUFFMAN_ONLY, constants.Z_RLE, constants.Z_FIXED),
});
const lengths = (max: number) => fc.array(fc.integer({ min: 1, max }), { minLength: 1, maxLength: 4 });

describe.each(engines)("gzip decoder with $name", (engine) => {
  test.skipIf(engine.isSkipped)(`gives what was packed, in any way, through pieces of any length${engine.why}`, () => {
    fc.assert(
      fc.property(contents, packings, lengths(70_000), lengths(70_000), (content, packing, pushes, rooms) => {
        const member = gzipSync(content, packing);
        expect(content.equals(decode(engine, member, pushes, rooms))).toBe(true);
        const twice = decode(engine, Buffer.concat([member, member, Buffer.alloc(9)]), pushes, rooms);
        expect(Buffer.concat([content, content]).equals(twice)).toBe(true);
      }),
    );
  });

  test.skipIf(engine.isSkipped)(
    `takes zeros behind the last member for padding, and nothing else behind them${engine.why}`,
    () => {
      const member = gzipSync("content");
      const padded = Buffer.concat([member, Buffer.alloc(1000)]);
      for (const push of [1, 7, 5000]) {
        expect(decode(engine, padded, [push]).toString()).toBe("content");
        expect(outcome(engine, Buffer.concat([padded, member]), [push])).toBe(failure("something else follows it"));
      }
    },
  );

  test.skipIf(engine.isSkipped)(`refuses a wrong length in the trailer, and a wrong checksum${engine.why}`, () => {
    for (const back of [4, 8]) {
      const bytes = gzipSync("content");
      bytes[bytes.length - back] = (bytes[bytes.length - back] ?? 0) ^ 1;
      expect(outcome(engine, bytes)).toMatch(/incorrect (length|data) (or length )?check/);
    }
  });

  test.skipIf(engine.isSkipped)(`reads a header with all that one can have, split anywhere${engine.why}`, () => {
    const header = Buffer.from("1f8b081c00000000000003000061626378797a00636f6d6d656e7400", "hex");
    header.writeUInt16LE(3, 10);
    const bytes = Buffer.concat([header, gzipSync("hello").subarray(10)]);
    for (let push = 1; push < bytes.length; push++) expect(decode(engine, bytes, [push]).toString()).toBe("hello");
    for (let at = 0; at < header.length; at++) {
      expect(outcome(engine, bytes.subarray(0, at))).toBe(failure("it ends too early"));
    }
  });

  test.skipIf(engine.isSkipped)(
    `refuses flags that no format has, and a header whose checksum is wrong${engine.why}`,
    () => {
      const reserved = gzipSync("hello");
      reserved[3] = 0x20;
      expect(outcome(engine, reserved)).toBe(failure("unknown header flags set"));
      const plain = gzipSync("hello");
      const checked = Buffer.concat([plain.subarray(0, 10), Buffer.from([1, 2]), plain.subarray(10)]);
      checked[3] = 2;
      expect(outcome(engine, checked)).toBe(failure("header crc mismatch"));
    },
  );

  test.skipIf(engine.isSkipped)(`refuses blocks, codes and distances that there are not${engine.why}`, () => {
    const header = gzipSync("").subarray(0, 10);
    const of = (...bytes: readonly number[]) =>
      outcome(engine, Buffer.concat([header, Buffer.from(bytes), Buffer.alloc(300)]));
    // The third kind of block, and one that is stored, whose two lengths do not agree.
    expect(of(0x07)).toMatch(/invalid block/);
    expect(of(0x01, 5, 0, 5, 0)).toMatch(/invalid (block|stored block lengths)/);
    // A block of fixed codes: three bytes from one byte back, where there is none.
    expect(of(0x03, 0x02)).toMatch(/invalid distance too far back/);
    // The number 286, which stands for no length.
    expect(of(0x1b, 0x03)).toMatch(/invalid (code|literal)/);
  });
});

test.skipIf(!isHere)(`zlib and ISA-L agree on what was damaged${without}`, () => {
  const change = fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom("set", "cut", "put"));
  fc.assert(
    fc.property(
      contents,
      packings,
      fc.array(change, { minLength: 1, maxLength: 4 }),
      lengths(5000),
      lengths(70_000),
      (content, packing, changes, pushes, rooms) => {
        const trailer = gzipSync(content).subarray(-8);
        let packed = deflateRawSync(content, packing);
        for (const [place, byte, how] of changes) {
          // Most is said by the first bytes, which tell the codes.
          const at = place % (place % 2 === 0 ? packed.length : Math.min(packed.length, 80));
          const rest = packed.subarray(at + (how === "put" ? 0 : 1));
          const put = how === "cut" ? [] : [byte];
          packed = Buffer.concat([packed.subarray(0, at), Buffer.from(put), rest]);
          if (packed.length === 0) return;
        }
        const bytes = Buffer.concat([gzipSync("").subarray(0, 10), packed, trailer]);
        const [byZlib, byIsal] = engines.map((engine) => outcome(engine, bytes, pushes, rooms));
        if (byIsal === undefined || byZlib === undefined) throw new Error("Both have an outcome");
        // The trailer's checksum lets nothing else pass.
        if (typeof byIsal !== "string") expect(content.equals(byIsal)).toBe(true);
        // zlib refuses codes that leave places empty, which ISA-L takes, and which no encoder writes.
        if (typeof byZlib === "string" && / set$/.test(byZlib)) return;
        expect(typeof byIsal).toBe(typeof byZlib);
      },
    ),
    { numRuns: 500 },
  );
});
