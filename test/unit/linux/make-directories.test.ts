import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { makeDirectories, makeParents } from "../../../src/linux/make-directories.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const top = fromText("/top");
const namesIn = (linux: FakeLinux, path: string) => linux.files.readDirectory(fromText(path));

test("makeDirectories: makes what is missing, and says where the last one is", () => {
  const linux = new FakeLinux();
  linux.files.makeDirectory(top, 0o755);
  expect(makeDirectories(linux.files, top, "a/b")).toBe("/top/a/b");
  expect(makeDirectories(linux.files, top, "/a//c/")).toBe("/top/a/c");
  expect(namesIn(linux, "/top/a")).toEqual(["b", "c"]);
  expect(makeDirectories(linux.files, top, "")).toBe("/top");
});

test("makeDirectories: makes them from the root of all where there is no top", () => {
  const linux = new FakeLinux();
  expect(makeDirectories(linux.files, fromText(""), "/x/y")).toBe("/x/y");
  expect(namesIn(linux, "/x")).toEqual(["y"]);
});

test("makeParents: makes those above a file, and not the file's own name", () => {
  const linux = new FakeLinux();
  linux.files.makeDirectory(top, 0o755);
  makeParents(linux.files, top, "loader/entries/file");
  makeParents(linux.files, top, "file");
  expect(namesIn(linux, "/top")).toEqual(["loader"]);
  expect(namesIn(linux, "/top/loader/entries")).toEqual([]);
});
