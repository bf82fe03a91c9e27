import { beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { readQuarantine, removeQuarantine, writeQuarantine } from "../../../src/sysroot/quarantine-store.ts";
import { sysrootPaths } from "../../../src/sysroot/sysroot-paths.ts";
import { readText, writeText } from "../../builders/running-machine.ts";
import { manifestOf, recordOf } from "../../builders/sysroot-states.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const paths = sysrootPaths(fromText("/target"));
const directory = "/target/state/osdeploy/quarantine";

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux();
  linux.files.makeDirectory(paths.root, 0o755);
});

test("the quarantine: holds what was written, in the order of the digests, until it is removed", () => {
  expect(readQuarantine(linux.files, paths)).toEqual([]);
  writeQuarantine(linux.files, paths, recordOf("b"));
  writeQuarantine(linux.files, paths, recordOf("a"));
  expect(readQuarantine(linux.files, paths)).toEqual([recordOf("a"), recordOf("b")]);
  removeQuarantine(linux.files, paths, manifestOf("a"));
  removeQuarantine(linux.files, paths, manifestOf("a"));
  expect(readQuarantine(linux.files, paths)).toEqual([recordOf("b")]);
});

test("the quarantine: a damaged record still keeps its image out, and other files are no records", () => {
  writeQuarantine(linux.files, paths, recordOf("b"));
  writeText(linux, `${directory}/${"b".repeat(64)}.json`, "garbage");
  writeText(linux, `${directory}/${"c".repeat(128)}.json`, "{}");
  writeText(linux, `${directory}/notes.txt`, "");
  expect(readQuarantine(linux.files, paths).map(({ manifestDigest, reason }) => [manifestDigest, reason])).toEqual([
    [manifestOf("b"), "its record cannot be read"],
    [`sha512:${"c".repeat(128)}`, "its record cannot be read"],
  ]);
});

test("the quarantine: the file's name counts, not what is in it", () => {
  writeQuarantine(linux.files, paths, recordOf("b"));
  writeText(linux, `${directory}/${"d".repeat(64)}.json`, readText(linux, `${directory}/${"b".repeat(64)}.json`));
  expect(readQuarantine(linux.files, paths).map(({ manifestDigest }) => manifestDigest)).toEqual([
    manifestOf("b"),
    manifestOf("d"),
  ]);
});

test("the quarantine: what is no failure of reading is no damaged record", () => {
  writeQuarantine(linux.files, paths, recordOf("b"));
  const files = {
    ...linux.files,
    readFile: () => {
      throw new TypeError("a bug");
    },
  };
  expect(() => readQuarantine(files, paths)).toThrow(TypeError);
});
