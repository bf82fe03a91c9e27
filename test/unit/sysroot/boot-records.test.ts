import { beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import {
  beginCollection,
  endCollection,
  isCollecting,
  readBootFailure,
  readNotes,
  removeBootFailures,
  removeNote,
  writeNote,
} from "../../../src/sysroot/boot-records.ts";
import { sysrootPaths } from "../../../src/sysroot/sysroot-paths.ts";
import { writeText } from "../../builders/running-machine.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const paths = sysrootPaths(fromText("/target"));

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux();
  for (const name of ["", "/state", "/state/osdeploy", "/state/osdeploy/boot-failures"]) {
    linux.files.makeDirectory(fromText(`/target${name}`), 0o755);
  }
});

test("boot failures: are read by the entry's name, the end of long ones", () => {
  expect(readBootFailure(linux.files, paths, "osdeploy-000001")).toBeUndefined();
  writeText(linux, "/target/state/osdeploy/boot-failures/osdeploy-000001", "the root image is damaged\n");
  expect(readBootFailure(linux.files, paths, "osdeploy-000001")).toBe("the root image is damaged");
  writeText(linux, "/target/state/osdeploy/boot-failures/osdeploy-000001", `${"x".repeat(9000)}end`);
  expect(readBootFailure(linux.files, paths, "osdeploy-000001")).toMatch(/^x{3997}end$/);
});

test("boot failures: only those of entries that are still of interest are kept", () => {
  for (const name of ["osdeploy-000001", "osdeploy-000002"])
    writeText(linux, `/target/state/osdeploy/boot-failures/${name}`, "x");
  removeBootFailures(linux.files, paths, new Set(["osdeploy-000002"]));
  expect(linux.files.readDirectory(fromText("/target/state/osdeploy/boot-failures"))).toEqual(["osdeploy-000002"]);
});

test("notes: are told until they are settled", () => {
  expect(readNotes(linux.files, paths)).toEqual([]);
  writeNote(linux.files, paths, "not-counted", "It does not count");
  writeNote(linux.files, paths, "finalize-failure", "It failed");
  expect(readNotes(linux.files, paths)).toEqual(["It failed", "It does not count"]);
  removeNote(linux.files, paths, "finalize-failure");
  expect(readNotes(linux.files, paths)).toEqual(["It does not count"]);
});

test("a collection: is noted until it ends; on a full disk it begins without a note", () => {
  const failing = (code: "no-space" | "system") => ({
    ...linux.files,
    writeNewFile: () => {
      throw new OsdeployError(code, "Cannot write");
    },
  });
  beginCollection(failing("no-space"), paths);
  expect(isCollecting(linux.files, paths)).toBe(false);
  const broken = expect.objectContaining({ code: "system" });
  expect(() => beginCollection(failing("system"), paths)).toThrow(broken);
  beginCollection(linux.files, paths);
  beginCollection(failing("system"), paths);
  expect(isCollecting(linux.files, paths)).toBe(true);
  endCollection(linux.files, paths);
  expect(isCollecting(linux.files, paths)).toBe(false);
});

test("notes and boot failures: one that cannot be read is told of, and breaks nothing", () => {
  for (const name of ["finalize-failure", "boot-failures/osdeploy-000001"])
    linux.files.makeDirectory(fromText(`/target/state/osdeploy/${name}`), 0o755);
  writeNote(linux.files, paths, "not-counted", "It does not count");
  expect(readNotes(linux.files, paths)).toEqual([
    expect.stringMatching(/^The note finalize-failure cannot be read: Cannot /),
    "It does not count",
  ]);
  expect(readBootFailure(linux.files, paths, "osdeploy-000001")).toMatch(
    /^The record of why boot entry osdeploy-000001 failed cannot be read: /,
  );
  const files = {
    ...linux.files,
    readFile: () => {
      throw new TypeError("a bug");
    },
  };
  expect(() => readNotes(files, paths)).toThrow(TypeError);
});
