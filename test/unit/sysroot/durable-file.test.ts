import { beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { finishedNames, readSmallFile, removeDurably, writeDurably } from "../../../src/sysroot/durable-file.ts";
import { readText, writeText } from "../../builders/running-machine.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const root = fromText("/target");
const place = { root, directory: "a/b", name: "file" };
const directory = fromText("/target/a/b");

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux();
  linux.files.makeDirectory(root, 0o755);
});

test("writeDurably: makes the directories, replaces what is there, and is durable when it returns", () => {
  writeDurably(linux.files, place, "one");
  writeDurably(linux.files, place, "two");
  expect(readText(linux.crash({ keepUnsynced: false, names: "lost" }), "/target/a/b/file")).toBe("two");
});

test("writeDurably: a crash at any moment leaves the old file or the new one", () => {
  writeDurably(linux.files, place, "one");
  const calls = linux.trace.length;
  writeDurably(linux.files, place, "two");
  for (let failAt = 1; failAt <= linux.trace.length - calls; failAt++) {
    const crashing = linux.crash({ keepUnsynced: true }, { failAt });
    expect(() => writeDurably(crashing.files, place, "three")).toThrow();
    for (const names of ["lost", "kept"] as const) {
      const after = crashing.crash({ keepUnsynced: false, names });
      expect(["two", "three"]).toContain(readText(after, "/target/a/b/file"));
      expect(finishedNames(after.files, directory)).toEqual(["file"]);
      writeDurably(after.files, place, "four");
      expect(after.files.readDirectory(directory)).toEqual(["file"]);
    }
  }
});

test("removeDurably: removes a file for good; one that is gone is fine", () => {
  writeDurably(linux.files, place, "one");
  removeDurably(linux.files, directory, "file");
  removeDurably(linux.files, directory, "file");
  removeDurably(linux.files, fromText("/target/none"), "file");
  expect(linux.crash({ keepUnsynced: false, names: "lost" }).files.readDirectory(directory)).toEqual([]);
});

test("readSmallFile: tells a file that is not there from one that cannot be read", () => {
  expect(readSmallFile(linux.files, fromText("/target/none"))).toBeUndefined();
  writeText(linux, "/target/large", "x".repeat(1024 * 1024 + 1));
  expect(() => readSmallFile(linux.files, fromText("/target/large"))).toThrow(
    expect.objectContaining({ code: "limit-exceeded" }),
  );
});

test("finishedNames: is empty without a directory", () => {
  expect(finishedNames(linux.files, fromText("/target/none"))).toEqual([]);
});
