import { beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { readStagedNote, removeStagedNote, writeStagedNote } from "../../../src/sysroot/staged-note-file.ts";
import { sysrootPaths } from "../../../src/sysroot/sysroot-paths.ts";
import { writeText } from "../../builders/running-machine.ts";
import { manifestOf, stagedOf } from "../../builders/sysroot-states.ts";
import { FakeLinux, type Fault } from "../../fakes/fake-linux.ts";

const paths = sysrootPaths(fromText("/s"));

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux({ mountPoints: [{ path: "/s" }] });
});

test("the note of what is staged: is durable, replaced, and taken away", () => {
  expect(readStagedNote(linux.files, paths)).toEqual({ note: undefined, damage: undefined });
  writeStagedNote(linux.files, paths, stagedOf("a"));
  writeStagedNote(linux.files, paths, stagedOf("b"));
  const after = linux.crash({ keepUnsynced: false, names: "lost" });
  expect(readStagedNote(after.files, paths).note).toMatchObject({ manifestDigest: manifestOf("b") });
  removeStagedNote(after.files, paths);
  removeStagedNote(after.files, paths);
  expect(readStagedNote(after.files, paths)).toEqual({ note: undefined, damage: undefined });
});

test("the note of what is staged: one that says the same is not written again", () => {
  writeStagedNote(linux.files, paths, stagedOf("a"));
  const calls = linux.trace.length;
  writeStagedNote(linux.files, paths, stagedOf("a"));
  expect(linux.trace).toHaveLength(calls);
});

test("the note of what is staged: damage is told, and it can be replaced", () => {
  writeStagedNote(linux.files, paths, stagedOf("a"));
  writeText(linux, "/s/state/osdeploy/staged", "{");
  expect(readStagedNote(linux.files, paths)).toEqual({
    note: undefined,
    damage: expect.objectContaining({ message: "Cannot read the note of what was staged: it is not JSON" }),
  });
  writeStagedNote(linux.files, paths, stagedOf("b"));
  expect(readStagedNote(linux.files, paths).note).toMatchObject({ manifestDigest: manifestOf("b") });
});

test.each<Fault>(["ENOSPC", "EIO"])("the note of what is staged: a disk with %s fails nothing", (fault) => {
  const broken = linux.crash({ keepUnsynced: true }, { failAt: 1, fault });
  writeStagedNote(broken.files, paths, stagedOf("a"));
  expect(readStagedNote(broken.files, paths).note).toBeUndefined();
  writeStagedNote(linux.files, paths, stagedOf("a"));
  const stuck = linux.crash({ keepUnsynced: true }, { failAt: 1, fault });
  removeStagedNote(stuck.files, paths);
  expect(readStagedNote(stuck.files, paths).note).toMatchObject({ manifestDigest: manifestOf("a") });
});
