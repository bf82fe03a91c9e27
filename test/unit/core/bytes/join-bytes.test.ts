import { expect, test } from "vitest";
import { joinBytes } from "../../../../src/core/bytes/join-bytes.ts";

test("joinBytes: has the bytes of all pieces in order, and is no view of one", () => {
  const piece = Uint8Array.of(1, 2);
  const joined = joinBytes([piece, new Uint8Array(0), Uint8Array.of(3)]);
  expect(joined).toEqual(Uint8Array.of(1, 2, 3));
  expect(joinBytes([piece]).buffer).not.toBe(piece.buffer);
  expect(joinBytes([])).toEqual(new Uint8Array(0));
});
