import { expect, test } from "vitest";
import { type ByteString, fromText } from "../../../src/core/bytes/byte-string.ts";
import { writeErofs } from "../../../src/core/erofs/writer.ts";
import { RootImageFiles } from "../../../src/repo/known-files.ts";
import { directory, file, objectFile, tree } from "../../builders/file-trees.ts";

const id = (number: number, digits = 128) => number.toString(16).padStart(digits, "0");

test("RootImageFiles: gives object and size of every file that has an object of the algorithm", () => {
  const image = writeErofs(
    tree({
      usr: directory({
        lib: directory({ a: objectFile(70n, id(1)), small: file("inline") }),
        b: objectFile(5_000_000_000n, id(2)),
      }),
      other: objectFile(70n, id(3, 64)),
    }),
    { version: 1 },
  );
  const files = RootImageFiles.of(image, "sha512");
  expect(files.get(fromText("usr/lib/a"))).toEqual({ id: id(1), sizeBytes: 70 });
  expect(files.get(fromText("usr/b"))).toEqual({ id: id(2), sizeBytes: 5_000_000_000 });
  for (const path of ["usr/lib/small", "other", "usr/lib", "a", ""]) expect(files.get(fromText(path))).toBeUndefined();
});

test("RootImageFiles: another thread finds the same in the shared memory", () => {
  const names = Array.from({ length: 300 }, (_, number) => `file-${number}`);
  const contents = names.map((name, number): [string, ReturnType<typeof objectFile>] => [
    name,
    objectFile(100n + BigInt(number), id(number)),
  ]);
  const read = RootImageFiles.of(writeErofs(tree(Object.fromEntries(contents)), { version: 1 }), "sha512");
  const files = new RootImageFiles(read.memory);
  for (const [number, name] of names.entries()) {
    expect(files.get(name as ByteString)).toEqual({ id: id(number), sizeBytes: 100 + number });
    expect(files.get(`${name}x` as ByteString)).toBeUndefined();
  }
});

test("RootImageFiles: knows nothing where the image points outside of itself", () => {
  const image = writeErofs(tree({ a: objectFile(70n, id(1)) }), { version: 1 });
  const files = RootImageFiles.of(image, "sha512");
  expect(files.get(fromText("a"))?.sizeBytes).toBe(70);
  // Where inodes start, in blocks.
  new DataView(image.buffer).setUint32(1024 + 40, 0xffff, true);
  expect(RootImageFiles.of(image, "sha512").get(fromText("a"))).toBeUndefined();
});
