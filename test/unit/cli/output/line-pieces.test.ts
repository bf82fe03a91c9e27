import { expect, test } from "vitest";
import { linePieces } from "../../../../src/cli/output/line-pieces.ts";
import { type ByteString, fromText } from "../../../../src/core/bytes/byte-string.ts";

test("linePieces: the lines come out whole, in order, in pieces that are never empty", () => {
  const lines = Array.from({ length: 5000 }, (_, i) => fromText(`${"x".repeat(i % 100)}${i}\n`));
  lines.splice(100, 0, fromText(`${"y".repeat(200_000)}\n`));
  const pieces = [...linePieces(lines)].map((piece) => Buffer.from(piece));
  expect(Buffer.concat(pieces).toString()).toBe(lines.join(""));
  expect(pieces.every((piece) => piece.length > 0)).toBe(true);
  expect(pieces.length).toBeLessThan(12);
});

test("linePieces: the lines before an error come out, and then the error", () => {
  const pieces = linePieces(linesAndError(["one\n", "two\n"]));
  expect(Buffer.from(pieces.next().value as Uint8Array).toString()).toBe("one\ntwo\n");
  expect(() => pieces.next()).toThrow("no more");
  expect(() => linePieces(linesAndError([])).next()).toThrow("no more");
});

function* linesAndError(lines: readonly string[]): Generator<ByteString> {
  yield* lines.map(fromText);
  throw new Error("no more");
}

test("linePieces: bytes over 0x7f stay one byte, and no lines are no piece", () => {
  expect([...linePieces(["\u00ff\n" as ByteString])].map((piece) => [...piece])).toEqual([[0xff, 0x0a]]);
  expect([...linePieces([])]).toEqual([]);
});
