import { expect, test } from "vitest";
import { fromBytes, fromText } from "../../../src/core/bytes/byte-string.ts";
import { ScratchFiles } from "../../../src/disk/scratch-files.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { putFile } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function scratch() {
  const { files } = new FakeLinux();
  files.makeDirectory(fromText("/scratch"), 0o700);
  putFile(files, "/one", "first");
  putFile(files, "/two", "second");
  const names = () => files.readDirectory(fromText("/scratch"));
  return { files, names, made: new ScratchFiles(files, fromText("/scratch")) };
}

test("ScratchFiles: one file for one value, that only its owner reads", () => {
  const { files, names, made } = scratch();
  const [a, b] = [made.pathOf(fromText("a")), made.pathOf(fromText("b"))];
  expect(made.pathOf(fromText("a"))).toBe(a);
  expect(made.copyOf({ kind: "bytes", bytes: Uint8Array.of(97) })).toBe(a);
  expect([a, b].map((path) => fromBytes(files.readFile(path, 9)))).toEqual(["a", "b"]);
  expect(files.lstat(a).permissions).toBe(0o600);
  expect(names()).toHaveLength(2);
});

test("ScratchFiles: one copy of one file, which stays as it is when that is changed", () => {
  const { files, names, made } = scratch();
  const copyOf = (path: string) => made.copyOf({ kind: "file", path: path as Path });
  const [one, two] = [copyOf("/one"), copyOf("/two")];
  putFile(files, "/one", "changed");
  expect(copyOf("/one")).toBe(one);
  expect([one, two].map((path) => fromBytes(files.readFile(path, 9)))).toEqual(["first", "second"]);
  expect(names()).toHaveLength(2);
});
