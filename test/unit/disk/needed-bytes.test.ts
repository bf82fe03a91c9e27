import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { type DiskStep, ownedByRoot } from "../../../src/core/disk/disk-step.ts";
import { leastFatBytes, leastRootBytes, neededFatBytes, neededRootBytes } from "../../../src/disk/needed-bytes.ts";
import { putFile } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const mebibyte = 1024 * 1024;
const linux = new FakeLinux();
putFile(linux.files, "/empty", "");
putFile(linux.files, "/byte", "x");
putFile(linux.files, "/large", "x".repeat(mebibyte));

const step = (content: DiskStep["content"]): DiskStep => ({
  path: fromText("x"),
  stat: ownedByRoot(0o644, 0),
  xattrs: new Map(),
  content,
});
const file = (source: string, sealedBytes?: number) =>
  step({ kind: "file", source: fromText(source), sealedBytes: sealedBytes });
/** In blocks, without what the file system itself takes. */
const blocks = (...steps: readonly DiskStep[]) =>
  Math.floor((neededRootBytes(linux.files, steps) - leastRootBytes) / 1.06 / 4096 + 0.01);

test("neededRootBytes: counts whole blocks of directories and files, and none of what has none", () => {
  expect(neededRootBytes(linux.files, [])).toBe(leastRootBytes);
  expect(blocks(step({ kind: "directory" }))).toBe(1);
  expect(blocks(file("/empty"), step({ kind: "symlink", target: fromText("y") }))).toBe(0);
  expect(blocks(file("/byte"), file("/byte"), file("/large"))).toBe(2 + 256);
});

test("neededRootBytes: a sealed file takes its own bytes and its tree, but not the hole before that", () => {
  // The tree of sha512 has 64 bytes for each block.
  expect(blocks(file("/large", 1))).toBe(1 + 3);
  expect(blocks(file("/byte", mebibyte))).toBe(Math.ceil(256 * (1 + 1 / 63)) + 3);
});

test("neededFatBytes: counts clusters of 32 KiB, one more for each name, and the tables", () => {
  linux.files.makeDirectory(fromText("/boot"), 0o755);
  expect(neededFatBytes(linux.files, fromText("/boot"))).toBe(2 * mebibyte);
  putFile(linux.files, "/boot/EFI/one", "x");
  putFile(linux.files, "/boot/two", "x".repeat(32 * 1024 + 1));
  const sizes = [linux.files.lstat(fromText("/boot/EFI")).sizeBytes, 1, 32 * 1024 + 1];
  const clusters = sizes.reduce((sum, size) => sum + Math.ceil(size / 32768 + 1), 0);
  expect(neededFatBytes(linux.files, fromText("/boot"))).toBe(2 * mebibyte + clusters * 32768);
  expect(leastFatBytes).toBeGreaterThan(2 * mebibyte);
});
