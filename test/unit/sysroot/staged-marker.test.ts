import { beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { dropStaged, readStagedMarker, recordStaged } from "../../../src/sysroot/staged-marker.ts";
import { readStagedNote } from "../../../src/sysroot/staged-note-file.ts";
import { sysrootPaths } from "../../../src/sysroot/sysroot-paths.ts";
import { readText, writeText } from "../../builders/running-machine.ts";
import { bootedOf, manifestOf, stagedOf } from "../../builders/sysroot-states.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux({ mountPoints: [{ path: "/s" }, { path: "/run", volatile: true }] });
});

/** A running system's, or one at rest. */
const sysroot = (isRunning = true) => ({
  files: linux.files,
  paths: sysrootPaths(fromText("/s")),
  running: isRunning ? { booted: bootedOf("a"), bootMount: undefined } : undefined,
});
const noted = () => readStagedNote(linux.files, sysroot().paths).note?.manifestDigest;

test("the record of what is staged: is read as it was written, replaced, and taken away", () => {
  expect(readStagedMarker(linux.files)).toEqual({ staged: undefined, damage: undefined });
  recordStaged(sysroot(), stagedOf("a"));
  recordStaged(sysroot(), stagedOf("b"));
  expect(readStagedMarker(linux.files)).toEqual({ staged: stagedOf("b"), damage: undefined });
  expect(noted()).toBe(manifestOf("b"));
  dropStaged(sysroot());
  dropStaged(sysroot());
  expect(readStagedMarker(linux.files).staged).toBeUndefined();
  expect(noted()).toBeUndefined();
});

test("the record of what is staged: stays where that of another sysroot is dropped", () => {
  recordStaged(sysroot(), stagedOf("a"));
  dropStaged(sysroot(false));
  expect(readStagedMarker(linux.files).staged).toEqual(stagedOf("a"));
  expect(noted()).toBeUndefined();
});

test("the record of what is staged: is gone after a power cut, and nothing is committed then", () => {
  recordStaged(sysroot(), stagedOf("a"));
  expect(readStagedMarker(linux.crash({ keepUnsynced: false }).files)).toEqual({
    staged: undefined,
    damage: undefined,
  });
});

test("the record of what is staged: damage is told, and is no record", () => {
  linux.files.makeDirectory(fromText("/run/osdeploy"), 0o755);
  writeText(linux, "/run/osdeploy/staged.json", "{");
  expect(readStagedMarker(linux.files)).toEqual({
    staged: undefined,
    damage: expect.objectContaining({ message: "Cannot read the record of the staged deployment: it is not JSON" }),
  });
});

test("the record of what is staged: one of a newer version is told, and nothing of it is committed", () => {
  recordStaged(sysroot(), stagedOf("a"));
  const path = "/run/osdeploy/staged.json";
  writeText(linux, path, readText(linux, path).replace('"version": 1', '"version": 2'));
  expect(readStagedMarker(linux.files)).toEqual({
    staged: undefined,
    damage: expect.objectContaining({ code: "unsupported" }),
  });
});
