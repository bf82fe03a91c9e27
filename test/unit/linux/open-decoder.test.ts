import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { OsdeployError } from "../../../src/core/errors.ts";
import type { Compression } from "../../../src/core/oci/media-type.ts";
import { openDecoder } from "../../../src/linux/open-decoder.ts";
import { decompressZstd } from "../../../src/linux/zstd-decoder.ts";
import { compressZstd, openZstdEncoder } from "../../../src/linux/zstd-encoder.ts";

/** Decodes `bytes` in pieces of `push` bytes, with room for `room` bytes a call. */
function decode(compression: Compression, bytes: Uint8Array, { push = 1 << 17, room = 1 << 16 } = {}): Buffer {
  const decoder = openDecoder(compression);
  const output: Buffer[] = [];
  try {
    for (let from = 0; from < bytes.length; from += push) {
      // A copy of exactly this size: small ones start on the garbage collected heap.
      let input = Uint8Array.from(bytes.subarray(from, from + push));
      let step = { consumed: 0, produced: 0 };
      do {
        const window = new Uint8Array(room);
        step = decoder.decode(input, window);
        expect(step.produced).toBeLessThanOrEqual(room);
        output.push(Buffer.from(window.subarray(0, step.produced)));
        input = input.subarray(step.consumed);
      } while (input.length > 0 || step.produced === room);
    }
    decoder.finish();
    return Buffer.concat(output);
  } finally {
    decoder.close();
  }
}

function refusal(action: () => unknown): { code: string; message: string } {
  try {
    action();
  } catch (error) {
    if (error instanceof OsdeployError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("Nothing was refused");
}

/** Bytes that compress a little. */
function sample(length: number): Buffer {
  let state = 12345;
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[at] = state >>> 29 === 0 ? state >>> 16 : at & 0x3f;
  }
  return bytes;
}

function zstdWithChecksum(bytes: Uint8Array): Buffer {
  const pieces: Buffer[] = [];
  const encoder = openZstdEncoder({ checksum: true });
  encoder.finish((piece) => pieces.push(Buffer.from(piece)), bytes);
  encoder.close();
  return Buffer.concat(pieces);
}

const skippable = Buffer.concat([Buffer.from("532a4d1805000000", "hex"), Buffer.from("junk!")]);
const content = sample(300_000);

const formats: readonly { readonly kind: "gzip" | "zstd"; readonly pack: (bytes: Uint8Array) => Buffer }[] = [
  { kind: "gzip", pack: (bytes) => gzipSync(bytes) },
  { kind: "zstd", pack: zstdWithChecksum },
];

describe.each(formats)("$kind decoder", ({ kind, pack }) => {
  test.each([
    { push: 1 << 17, room: 1 << 20 },
    { push: 1 << 17, room: 4096 },
    { push: 7, room: 100_000 },
    { push: 1000, room: 33 },
    { push: 1, room: 5000 },
    { push: 300_000, room: 300_000 },
  ])("gives the same bytes for pushes of $push and room for $room", (sizes) => {
    expect(decode(kind, pack(content), sizes).equals(content)).toBe(true);
  });

  test("reads streams one after the other, split anywhere, empty ones too", () => {
    const parts = [content.subarray(0, 1000), content.subarray(0, 0), content.subarray(1000, 70_000)];
    const bytes = Buffer.concat(parts.map(pack));
    for (const push of [bytes.length, 7, 1]) {
      expect(decode(kind, bytes, { push }).equals(content.subarray(0, 70_000))).toBe(true);
    }
  });

  test("one window of exactly the right size is enough", () => {
    const decoder = openDecoder(kind);
    const window = new Uint8Array(content.length);
    const input = pack(content);
    const step = decoder.decode(input, window);
    expect(step.produced).toBe(content.length);
    expect(decoder.decode(input.subarray(step.consumed), new Uint8Array(1)).produced).toBe(0);
    decoder.finish();
    decoder.close();
  });

  test("refuses a stream cut at any byte", () => {
    const bytes = pack(content.subarray(0, 500));
    for (let length = 0; length < bytes.length; length++) {
      expect(
        refusal(() => decode(kind, bytes.subarray(0, length))),
        `cut at ${length}`,
      ).toEqual({
        code: "bad-format",
        message: `Cannot decompress the ${kind} stream: it ends too early`,
      });
    }
    expect(decode(kind, bytes).length).toBe(500);
  });

  test("refuses a second stream cut at any byte", () => {
    const first = pack(content.subarray(0, 100));
    const bytes = Buffer.concat([first, pack(content.subarray(0, 300))]);
    for (let length = first.length + 1; length < bytes.length; length++) {
      expect(refusal(() => decode(kind, bytes.subarray(0, length), { push: 64 })).code).toBe("bad-format");
    }
  });

  test("refuses a wrong checksum", () => {
    const bytes = pack(content);
    // gzip ends with CRC and length, zstd with the checksum.
    const at = kind === "gzip" ? bytes.length - 8 : bytes.length - 4;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    expect(refusal(() => decode(kind, bytes))).toMatchObject({
      code: "bad-format",
      message: expect.stringMatching(/incorrect data (or length )?check|checksum/),
    });
  });

  test("refuses any flipped byte, or gives the right bytes all the same", () => {
    const bytes = pack(content.subarray(0, 300));
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      try {
        expect(decode(kind, damaged).equals(content.subarray(0, 300)), `byte ${at}`).toBe(true);
      } catch (error) {
        if (!(error instanceof OsdeployError)) throw error;
        expect(["bad-format", "limit-exceeded"]).toContain(error.code);
      }
    }
  });

  test("refuses what is not of its format", () => {
    const why = { code: "bad-format", message: expect.stringMatching(/incorrect header check|[Uu]nknown frame/) };
    expect(refusal(() => decode(kind, Buffer.from("this is no compressed stream")))).toEqual(why);
    expect(refusal(() => decode(kind, Buffer.alloc(100)))).toEqual(why);
  });

  test("refuses garbage behind the stream, of any length", () => {
    for (const garbage of ["x", "xy", "garbage", "\x1fgarbage", "\x28\xb5\x2f"]) {
      const bytes = Buffer.concat([pack(content.subarray(0, 100)), Buffer.from(garbage, "latin1")]);
      for (const push of [1, 7, 1000]) expect(refusal(() => decode(kind, bytes, { push })).code).toBe("bad-format");
    }
  });

  test("gives no more than there is room for, however much a bomb holds", () => {
    const bomb = pack(Buffer.alloc(50_000_000));
    const decoder = openDecoder(kind);
    const window = new Uint8Array(5000);
    const before = process.memoryUsage().rss;
    let at = 0;
    for (let calls = 0; calls < 100; calls++) {
      const { consumed, produced } = decoder.decode(bomb.subarray(at), window.subarray(0, 4096));
      expect(produced).toBe(4096);
      at += consumed;
    }
    expect(window.subarray(4096).every((byte) => byte === 0)).toBe(true);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
    decoder.close();
  });

  test("survives collections between and during calls on tiny buffers", () => {
    const bytes = pack(content.subarray(0, 20_000));
    const litter: unknown[] = [];
    const decoder = openDecoder(kind);
    const output = Buffer.alloc(20_000);
    let length = 0;
    for (const byte of bytes) {
      let input = Uint8Array.of(byte);
      let step = { consumed: 0, produced: 0 };
      do {
        const window = new Uint8Array(16);
        litter.push(Array.from({ length: 50 }, (_, at) => ({ at })));
        if (litter.length > 200) litter.length = 0;
        step = decoder.decode(input, window);
        input = input.subarray(step.consumed);
        output.set(window.subarray(0, step.produced), length);
        length += step.produced;
      } while (step.produced === 16);
    }
    decoder.finish();
    decoder.close();
    expect(output.equals(content.subarray(0, 20_000))).toBe(true);
  });

  test("close: twice is fine, decoding after it is a bug", () => {
    const decoder = openDecoder(kind);
    decoder.close();
    decoder.close();
    expect(() => decoder.decode(pack(content), new Uint8Array(10))).toThrow(/open decoder/);
  });

  test("decode: no room at all is a bug", () => {
    const decoder = openDecoder(kind);
    expect(() => decoder.decode(pack(content), new Uint8Array(0))).toThrow(/given room/);
    decoder.close();
  });
});

/** A frame that asks for a window of `descriptor` and holds one raw block. */
function handMadeFrame(descriptor: number, text: string): Buffer {
  const block = Buffer.alloc(3);
  block.writeUIntLE((text.length << 3) | 1, 0, 3);
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor]), block, Buffer.from(text)]);
}

describe("zstd decoder", () => {
  test("passes over skippable frames, wherever they are", () => {
    const [one, two] = [zstdWithChecksum(Buffer.from("one ")), zstdWithChecksum(Buffer.from("two"))];
    const bytes = Buffer.concat([skippable, one, skippable, skippable, two, skippable]);
    for (const push of [1, 7, 1000]) expect(decode("zstd", bytes, { push }).toString()).toBe("one two");
    expect(decode("zstd", skippable).length).toBe(0);
    expect(refusal(() => decode("zstd", bytes.subarray(0, -1))).code).toBe("bad-format");
  });

  test("grants a window of 128 MiB, and refuses the next larger one and 256 MiB", () => {
    expect(decode("zstd", handMadeFrame(17 << 3, "hello")).toString()).toBe("hello");
    for (const descriptor of [(17 << 3) | 1, 18 << 3]) {
      expect(refusal(() => decode("zstd", handMadeFrame(descriptor, "hello")))).toEqual({
        code: "limit-exceeded",
        message: "Cannot decompress the zstd stream: it asks for more than 128 MiB of memory",
      });
    }
  });

  test("refuses a frame whose content is shorter than its header tells", () => {
    const bytes = Buffer.from(compressZstd(content.subarray(0, 200)));
    expect(bytes[5]).toBe(200);
    bytes[5] = 201;
    expect(refusal(() => decode("zstd", bytes)).code).toBe("bad-format");
  });
});

describe("decoder of what is not compressed", () => {
  test("copies, as much as fits", () => {
    expect(decode("none", content, { push: 1000, room: 333 }).equals(content)).toBe(true);
    expect(decode("none", Buffer.alloc(0)).length).toBe(0);
  });
});

describe("zstd encoder", () => {
  test("compressZstd: one frame that tells its length, which decompressZstd gives back", () => {
    for (const length of [0, 1, 1000, 300_000]) {
      const packed = compressZstd(content.subarray(0, length));
      expect(Buffer.from(packed.subarray(0, 4)).toString("hex")).toBe("28b52ffd");
      expect(Buffer.compare(decompressZstd(packed, length), content.subarray(0, length))).toBe(0);
    }
    expect(compressZstd(content, 19).length).toBeLessThan(compressZstd(content, 1).length);
  });

  test("openZstdEncoder: takes bytes in any pieces, and gives pieces of at most 128 KiB", () => {
    const noise = Buffer.concat(Array.from({ length: 700 }, (_, at) => gzipSync(sample(1000 + at))));
    const encoder = openZstdEncoder();
    const pieces: Buffer[] = [];
    const sink = (bytes: Uint8Array) => {
      expect(bytes.length).toBeLessThanOrEqual(131072);
      pieces.push(Buffer.from(bytes));
    };
    for (let at = 0; at < noise.length; at += 999) encoder.encode(noise.subarray(at, at + 999), sink);
    encoder.finish(sink);
    encoder.close();
    encoder.close();
    expect(() => encoder.finish(sink)).toThrow(/before it is closed/);
    expect(pieces.length).toBeGreaterThan(1);
    expect(decode("zstd", Buffer.concat(pieces)).equals(noise)).toBe(true);
  });

  test("decompressZstd: reads many frames, to the limit and not beyond", () => {
    const bytes = Buffer.concat([compressZstd(content), skippable, compressZstd(Buffer.alloc(1_000_000))]);
    expect(decompressZstd(bytes, 1_300_000).length).toBe(1_300_000);
    expect(refusal(() => decompressZstd(bytes, 1_299_999))).toEqual({
      code: "limit-exceeded",
      message: "Cannot decompress the zstd stream: it holds more than 1299999 bytes",
    });
    expect(refusal(() => decompressZstd(bytes.subarray(0, -1), 1 << 21)).code).toBe("bad-format");
    expect(refusal(() => decompressZstd(new Uint8Array(0), 10)).code).toBe("bad-format");
  });
});
