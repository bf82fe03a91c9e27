import { expect, test } from "vitest";
import { type Isal, isAsKnown } from "../../../src/linux/isal-stream.ts";

/** Offsets in the library's state, as its header has them. */
const fields = { availableOut: 8, availableIn: 32, blockState: 21160 } as const;

/** A library that does this to its state at each call, and finds nothing wrong. */
function library(act: (state: DataView) => void): Isal {
  const view = (state: Uint8Array) => new DataView(state.buffer, state.byteOffset, state.byteLength);
  return {
    init: () => {},
    reset: () => {},
    inflate: (state) => {
      act(view(state));
      return 0;
    },
  };
}

test.each([
  ["does nothing", () => {}],
  ["takes all and never ends", (state: DataView) => state.setUint32(fields.availableIn, 0, true)],
  ["gives without taking", (state: DataView) => state.setUint32(fields.availableOut, 0, true)],
  ["is at the end at once", (state: DataView) => state.setUint32(fields.blockState, 5, true)],
  [
    "takes and gives, and finds nothing wrong",
    (state: DataView) => {
      state.setUint32(fields.availableIn, 0, true);
      state.setUint32(fields.availableOut, 1, true);
    },
  ],
])("isAsKnown: not a library that %s", (_, act) => {
  expect(isAsKnown(library(act))).toBe(false);
});

test("isAsKnown: not one whose memory is somewhere else", () => {
  const isal = library(() => {
    throw new RangeError("out of reach");
  });
  expect(isAsKnown(isal)).toBe(false);
});
