import { describe, expect, test } from "vitest";
import { ChunkSplitter } from "../../../../src/core/zstd-chunked/chunk-splitter.ts";

/** Bytes that look like chance and are the same everywhere. */
function noise(length: number, seed = 1): Buffer {
  let state = seed;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return ((state >>> 16) % 255) + 1;
    }),
  );
}

/** The chunks of `content` handed over in pieces of `step` bytes: lengths, negative for zeros. */
function chunksOf(content: Uint8Array, step: number, splitter = newSplitter()): readonly number[] {
  const { made } = splitter;
  for (let at = 0; at < content.length; at += step) splitter.push(content.subarray(at, at + step));
  splitter.finish();
  expect(Buffer.concat(splitter.bytes.splice(0)).equals(content)).toBe(true);
  return made.splice(0);
}

interface Recorder {
  readonly made: number[];
  readonly bytes: Uint8Array[];
  push(bytes: Uint8Array): void;
  finish(): void;
}

function newSplitter(): Recorder {
  const made: number[] = [];
  const bytes: Uint8Array[] = [];
  let open = 0;
  const splitter = new ChunkSplitter({
    data: (piece) => {
      bytes.push(piece.slice());
      open += piece.length;
    },
    endChunk: () => {
      made.push(open);
      open = 0;
    },
    zeros: (length) => {
      bytes.push(new Uint8Array(length));
      made.push(-length);
    },
  });
  return { made, bytes, push: (piece) => splitter.push(piece), finish: () => splitter.finish() };
}

/** What the rule says, byte by byte over the whole file. */
function slowChunks(content: Uint8Array): readonly number[] {
  const made: number[] = [];
  const window = new Uint8Array(64);
  let [first, second, position, open] = [64 * 31, 64 * 63 * 31, 0, 0];
  const roll = (byte: number): boolean => {
    const dropped = window[position] as number;
    first = (first + byte - dropped) >>> 0;
    second = (second + first - 64 * (dropped + 31)) >>> 0;
    window[position] = byte;
    position = (position + 1) % 64;
    return (second & 0xffff) === 0xffff;
  };
  const end = () => {
    if (open > 0) made.push(open);
    open = 0;
  };
  for (let at = 0; at < content.length; ) {
    let zeros = at;
    while (content[zeros] === 0) zeros++;
    if (zeros - at >= 1024) {
      end();
      made.push(at - zeros);
      for (; at < zeros; at++) roll(0);
      continue;
    }
    const isSplit = roll(content[at++] as number);
    open++;
    if (isSplit) end();
  }
  end();
  return made;
}

const zeros = (length: number) => Buffer.alloc(length);

const contents: Readonly<Record<string, Buffer>> = {
  "noise of 600 kB": noise(600_000),
  "one byte": Buffer.from("x"),
  "1023 zeros": zeros(1023),
  "1024 zeros": zeros(1024),
  "1023 zeros in the middle": Buffer.concat([noise(100), zeros(1023), noise(100)]),
  "1024 zeros in the middle": Buffer.concat([noise(100), zeros(1024), noise(100, 2)]),
  "zeros at head and tail": Buffer.concat([zeros(5000), noise(200_000, 3), zeros(3000)]),
  "single zeros everywhere": noise(200_000, 4).map((byte) => (byte % 7 === 0 ? 0 : byte)) as Buffer,
};

describe("ChunkSplitter", () => {
  for (const [name, content] of Object.entries(contents)) {
    test(`the rule's chunks of ${name}, whatever the pieces are`, () => {
      const expected = slowChunks(content);
      for (const step of [content.length, 65_536, 1000, 37]) expect(chunksOf(content, step)).toEqual(expected);
    });
  }

  test("noise is cut in several places, and zeros are chunks of their own", () => {
    expect(chunksOf(noise(600_000), 4096).length).toBeGreaterThan(3);
    expect(chunksOf(contents["1024 zeros in the middle"] as Buffer, 50)).toEqual([100, -1024, 100]);
    expect(chunksOf(zeros(1023), 50)).toEqual([1023]);
  });

  test("nothing of a file is left for the next", () => {
    const splitter = newSplitter();
    const first = chunksOf(noise(100_000, 9), 4096, splitter);
    expect(chunksOf(noise(100_000, 9), 4096, splitter)).toEqual(first);
  });

  test("an empty file has no chunk", () => {
    expect(chunksOf(new Uint8Array(0), 1)).toEqual([]);
    const splitter = newSplitter();
    splitter.push(new Uint8Array(0));
    splitter.finish();
    expect(splitter.made).toEqual([]);
  });
});
