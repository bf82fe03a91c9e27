import { expect, test } from "vitest";
import {
  formatStagedNote,
  isSettled,
  parseStagedNote,
  type StagedNote,
} from "../../../../src/core/deployment/staged-note.ts";
import { entryOf, manifestOf } from "../../../builders/sysroot-states.ts";

const note: StagedNote = {
  imageReference: "docker://quay.io/os:latest",
  manifestDigest: manifestOf("a"),
  sequence: 3,
  finalizationLocked: false,
};
const read = (text: string) => parseStagedNote(new TextEncoder().encode(text));

test.each([false, true])("parseStagedNote: reads what formatStagedNote wrote (only downloaded: %s)", (locked) => {
  expect(read(formatStagedNote({ ...note, finalizationLocked: locked }))).toEqual({
    ...note,
    finalizationLocked: locked,
  });
});

test("parseStagedNote: takes of a newer version what it knows", () => {
  const newer = formatStagedNote(note).replace('"version": 1', '"version": 2, "more": []');
  expect(read(newer)).toEqual(note);
});

test.each(["", "{", "{}", '{"imageReference": "x"}'])("parseStagedNote: refuses %j", (text) => {
  expect(() => read(text)).toThrow(expect.objectContaining({ code: "bad-format" }));
});

test("isSettled: by an entry of this number or a higher one, of whatever root image", () => {
  const settledBy = (...sequences: readonly number[]) =>
    isSettled(note, { entries: sequences.map((sequence) => entryOf(sequence, "b")) });
  expect([settledBy(), settledBy(2, 1), settledBy(3), settledBy(4, 1)]).toEqual([false, false, true, true]);
});
