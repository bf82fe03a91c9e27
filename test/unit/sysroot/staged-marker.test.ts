import { beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { readStagedMarker, removeStagedMarker, writeStagedMarker } from "../../../src/sysroot/staged-marker.ts";
import { readText, writeText } from "../../builders/running-machine.ts";
import { stagedOf } from "../../builders/sysroot-states.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux({ mountPoints: [{ path: "/run", volatile: true }] });
});

test("the record of what is staged: is read as it was written, replaced, and taken away", () => {
  expect(readStagedMarker(linux.files)).toEqual({ staged: undefined, damage: undefined });
  writeStagedMarker(linux.files, stagedOf("a"));
  writeStagedMarker(linux.files, stagedOf("b"));
  expect(readStagedMarker(linux.files)).toEqual({ staged: stagedOf("b"), damage: undefined });
  removeStagedMarker(linux.files);
  removeStagedMarker(linux.files);
  expect(readStagedMarker(linux.files).staged).toBeUndefined();
});

test("the record of what is staged: is gone after a power cut, and nothing is committed then", () => {
  writeStagedMarker(linux.files, stagedOf("a"));
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
  writeStagedMarker(linux.files, stagedOf("a"));
  const path = "/run/osdeploy/staged.json";
  writeText(linux, path, readText(linux, path).replace('"version": 1', '"version": 2'));
  expect(readStagedMarker(linux.files)).toEqual({
    staged: undefined,
    damage: expect.objectContaining({ code: "unsupported" }),
  });
});
