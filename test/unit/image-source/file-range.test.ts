import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseLayerDigest } from "../../../src/core/digest/oci-digest.ts";
import { sha256Hex } from "../../../src/core/digest/sha256-hex.ts";
import { checkRange, lendRange, partOf, readRange, streamRange } from "../../../src/image-source/file-range.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { refusal } from "../../builders/refusal.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const digest = parseLayerDigest(`sha256:${"a".repeat(64)}`);
const blob = { mediaType: "x", digest, sizeBytes: 10, annotations: new Map<string, string>() };
const location = { path: fromText("/a.tar"), offsetBytes: 512, lengthBytes: 10 };

test.each([
  [0, 10],
  [3, 7],
  [9, 1],
  [10, 0],
])("partOf: gives the place of a part at %d of %d bytes", (offsetBytes, lengthBytes) => {
  const place = { path: location.path, offsetBytes: 512 + offsetBytes, lengthBytes };
  expect(partOf(location, blob, { offsetBytes, lengthBytes })).toEqual(place);
});

test.each([
  ["one more than there is", 0, 11],
  ["one more from the middle on", 4, 7],
  ["from beyond the end", 11, 0],
  ["from before the start", -1, 2],
  ["fewer than none", 5, -1],
  ["a part of a byte", 0.5, 1],
  ["none of a number", 0, Number.NaN],
  ["an offset that is not exact", 2 ** 53, 1],
  ["a length that is not exact", 0, 2 ** 53],
  ["what together is not exact", Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
])("checkRange: refuses %s, and so does partOf", (_name, offsetBytes, lengthBytes) => {
  const message = `bad-format: Cannot read ${lengthBytes} bytes at ${offsetBytes} of ${digest}: it has 10 bytes`;
  expect(refusal(() => checkRange(blob, { offsetBytes, lengthBytes }))).toBe(message);
  expect(refusal(() => partOf(location, blob, { offsetBytes, lengthBytes }))).toBe(message);
});

test("streamRange, lendRange: give the same bytes, each piece in memory of its own or all of them in one", async () => {
  const { files } = new FakeLinux();
  const content = Uint8Array.from({ length: 700_000 }, (_, at) => at >> 8);
  files.writeNewFile(location.path, content, 0o644);
  const range = { path: location.path, offsetBytes: 100, lengthBytes: content.length - 200 };
  const read = async (pieces: AsyncIterable<Uint8Array>) => {
    const copies: Uint8Array[] = [];
    const memories = new Set<ArrayBufferLike>();
    for await (const piece of pieces) {
      copies.push(piece.slice());
      memories.add(piece.buffer);
    }
    return { sha256: sha256Hex(Buffer.concat(copies)), memories: memories.size };
  };
  const sha256 = sha256Hex(content.subarray(100, -100));
  expect(await read(streamRange(files, range, 0))).toEqual({ sha256, memories: 3 });
  expect(await read(lendRange(files, range))).toEqual({ sha256, memories: 1 });
  expect(await read(lendRange(files, { ...range, lengthBytes: 0 }))).toMatchObject({ memories: 0 });
});

test("readRange: reads as many bytes as are allowed, and of a longer range none", () => {
  const { files } = new FakeLinux();
  files.writeNewFile(location.path, new Uint8Array(600), 0o644);
  expect(readRange(files, location, 10)).toHaveLength(10);
  expect(refusal(() => readRange(files, location, 9))).toBe(
    "limit-exceeded: Cannot read /a.tar: 10 bytes, 9 are allowed",
  );
});

test("readRange: puts a range together that comes in small pieces, and refuses a file that ends in it", () => {
  const { files } = new FakeLinux();
  files.writeNewFile(
    location.path,
    Uint8Array.from({ length: 1000 }, (_, at) => at >> 2),
    0o644,
  );
  const slow: LinuxFiles = {
    ...files,
    read: (fd, target, at) => files.read(fd, target, { ...at, length: Math.min(at.length, 7) }),
  };
  const range = { ...location, offsetBytes: 100, lengthBytes: 600 };
  const expected = Array.from({ length: 600 }, (_, at) => (at + 100) >> 2);
  expect([...readRange(slow, range, 600)]).toEqual(expected);
  expect(refusal(() => readRange(slow, { ...range, lengthBytes: 901 }, 901))).toBe(
    "bad-format: Cannot read /a.tar: it ends in the middle",
  );
});
