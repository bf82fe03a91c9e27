import { constants } from "node:fs";
import { expect, test } from "vitest";
import { fileType, kindOfMode, typeMask } from "../../../../src/core/tree/file-type.ts";

test("fileType: is what the machine has", () => {
  const { S_IFMT, S_IFIFO, S_IFCHR, S_IFDIR, S_IFBLK, S_IFREG, S_IFLNK, S_IFSOCK } = constants;
  expect(Object.values(fileType)).toEqual([S_IFIFO, S_IFCHR, S_IFDIR, S_IFBLK, S_IFREG, S_IFLNK, S_IFSOCK]);
  expect(typeMask).toBe(S_IFMT);
});

test("kindOfMode: looks at the type bits alone", () => {
  expect(kindOfMode(0o104755)).toBe("regular");
  expect(kindOfMode(0o041777)).toBe("directory");
  expect(kindOfMode(0o755)).toBeUndefined();
});
