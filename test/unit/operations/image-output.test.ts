import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { ImageOutput } from "../../../src/operations/image-output.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const image = new TextEncoder().encode("image");
const at = (name: string) => fromText(`/d/${name}`);

function machine(): FakeLinux {
  const linux = new FakeLinux();
  linux.files.makeDirectory(fromText("/d"), 0o755);
  return linux;
}

function write(linux: FakeLinux, name: string): void {
  const output = new ImageOutput(linux, at(name));
  output.commit(image);
  output.close();
  expect(linux.openPaths).toEqual([]);
}

const text = (linux: FakeLinux, name: string) => new TextDecoder().decode(linux.files.readFile(at(name), 100));

test("ImageOutput: makes a file, and leaves nothing beside it", () => {
  const linux = machine();
  write(linux, "x");
  expect(linux.files.readDirectory(fromText("/d"))).toEqual(["x"]);
  expect([text(linux, "x"), linux.files.lstat(at("x")).permissions]).toEqual(["image", 0o644]);
});

test("ImageOutput: a file that is replaced keeps its permissions, and stays as it is without a commit", () => {
  const linux = machine();
  linux.files.writeNewFile(at("x"), new TextEncoder().encode("old"), 0o600);
  new ImageOutput(linux, at("x")).close();
  expect(linux.files.readDirectory(fromText("/d"))).toEqual(["x"]);
  expect(text(linux, "x")).toBe("old");
  write(linux, "x");
  expect([text(linux, "x"), linux.files.lstat(at("x")).permissions]).toEqual(["image", 0o600]);
});

test("ImageOutput: follows symlinks to what is there, or is to be there", () => {
  const linux = machine();
  linux.files.symlink(fromText("two"), at("one"));
  linux.files.symlink(at("file"), at("two"));
  write(linux, "one");
  expect(text(linux, "file")).toBe("image");
  expect(linux.files.readDirectory(fromText("/d"))).toEqual(["file", "one", "two"]);
});

test.each<readonly [string, string]>([
  ["", "failed to open output file: Is a directory"],
  ["missing/x", "failed to open output file: No such file or directory"],
  ["file/x", "failed to open output file: Not a directory"],
  ["circle", "failed to open output file: Too many levels of symbolic links"],
])("ImageOutput: /d/%s is refused in mkcomposefs's words", (name, message) => {
  const linux = machine();
  linux.files.writeNewFile(at("file"), image, 0o644);
  linux.files.symlink(fromText("circle"), at("circle"));
  expect(() => new ImageOutput(linux, at(name))).toThrow(expect.objectContaining({ message }));
});

test("ImageOutput: a full disk is told in mkcomposefs's words, and leaves what was there", () => {
  const linux = machine().crash({ keepUnsynced: true }, { failAt: 2, fault: "ENOSPC" });
  const output = new ImageOutput(linux, at("x"));
  expect(() => output.commit(image)).toThrow("cannot write file: No space left on device");
  output.close();
  expect(linux.files.readDirectory(fromText("/d"))).toEqual([]);
});
