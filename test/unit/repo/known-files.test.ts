import { expect, test } from "vitest";
import { type ByteString, fromText } from "../../../src/core/bytes/byte-string.ts";
import { writeErofs } from "../../../src/core/erofs/writer.ts";
import { KnownFileTable } from "../../../src/repo/known-files.ts";
import { directory, file, objectFile, tree } from "../../builders/file-trees.ts";

const id = (number: number, digits = 128) => number.toString(16).padStart(digits, "0");

test("KnownFileTable: gives object and size of every file that has an object of the algorithm", () => {
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
  const table = KnownFileTable.ofRootImage(image, "sha512");
  expect(table.get(fromText("usr/lib/a"))).toEqual({ id: id(1), sizeBytes: 70 });
  expect(table.get(fromText("usr/b"))).toEqual({ id: id(2), sizeBytes: 5_000_000_000 });
  for (const path of ["usr/lib/small", "other", "usr/lib", "a", ""]) expect(table.get(fromText(path))).toBeUndefined();
});

test("KnownFileTable: another thread finds the same in the shared memory", () => {
  const names = Array.from({ length: 3000 }, (_, number) => `file-${number}`);
  const files = Object.fromEntries(names.map((name, number) => [name, objectFile(100n + BigInt(number), id(number))]));
  const built = KnownFileTable.ofRootImage(writeErofs(tree(files), { version: 1 }), "sha512");
  const table = new KnownFileTable(built.memory);
  for (const [number, name] of names.entries()) {
    expect(table.get(name as ByteString)).toEqual({ id: id(number), sizeBytes: 100 + number });
    expect(table.get(`${name}x` as ByteString)).toBeUndefined();
  }
});

test("KnownFileTable: of an image without objects knows nothing", () => {
  expect(KnownFileTable.ofRootImage(writeErofs(tree({}), { version: 1 }), "sha512").get(fromText("a"))).toBeUndefined();
});
