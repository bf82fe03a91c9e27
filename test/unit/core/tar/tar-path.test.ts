import { expect, test } from "vitest";
import type { ByteString } from "../../../../src/core/bytes/byte-string.ts";
import { defaultTarLimits } from "../../../../src/core/tar/tar-limits.ts";
import { readPath } from "../../../../src/core/tar/tar-path.ts";

const read = (raw: string) => readPath(raw as ByteString, defaultTarLimits);

test.each([
  ["usr/bin/tool", "usr/bin/tool"],
  ["./usr/bin", "usr/bin"],
  ["/usr/bin/", "usr/bin"],
  ["//usr//./bin/.", "usr/bin"],
  [".", ""],
  ["./", ""],
  ["/", ""],
  ["etc/.hidden", "etc/.hidden"],
  ["etc/..data/x", "etc/..data/x"],
  ["...", "..."],
  ["\xff/\x01\n", "\xff/\x01\n"],
  [`${"n".repeat(255)}/x`, `${"n".repeat(255)}/x`],
  [`./${"n".repeat(255)}/x`, `${"n".repeat(255)}/x`],
  [`a/.wh.${"n".repeat(255)}`, `a/.wh.${"n".repeat(255)}`],
])("readPath: %j is %j", (raw, path) => {
  expect(read(raw)).toBe(path);
});

test.each([
  ["", "it has no name"],
  ["a\0b", "NUL"],
  ["../evil", '".."'],
  ["etc/../usr", '".."'],
  ["etc/..", '".."'],
  ["..", '".."'],
  ["n".repeat(256), "more than 255 bytes"],
  [`a/${"n".repeat(256)}/b`, "more than 255 bytes"],
  [`.wh.${"n".repeat(256)}`, "more than 255 bytes"],
  [`.wh.${"n".repeat(252)}/b`, "more than 255 bytes"],
])("readPath: refuses %j", (raw, message) => {
  expect(() => read(raw)).toThrow(
    expect.objectContaining({ code: "bad-format", message: expect.stringContaining(message) }),
  );
});

test("readPath: limits length and depth", () => {
  const limits = { ...defaultTarLimits, pathBytes: 20, pathDepth: 3 };
  const limited = (raw: string) => readPath(raw as ByteString, limits);
  expect(limited("a/b/c")).toBe("a/b/c");
  expect(limited("./a/b/c/")).toBe("a/b/c");
  expect(limited("n".repeat(20))).toBe("n".repeat(20));
  for (const raw of ["a/b/c/d", "./a/b/c/d", "n".repeat(21)]) {
    expect(() => limited(raw)).toThrow(expect.objectContaining({ code: "limit-exceeded" }));
  }
});
