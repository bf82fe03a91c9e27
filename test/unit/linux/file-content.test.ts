import { describe, expect, test } from "vitest";
import { fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { copyContent, readPieces, readToEnd, withOpen } from "../../../src/linux/file-content.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const at = fromText;
const large = new Uint8Array(600_001).map((_, index) => index % 253);

describe.each([true, false])("copyContent, where files can be cloned: %s", (clone) => {
  test("copies a file byte by byte, readable by its owner only", () => {
    const { files } = new FakeLinux({ clone });
    files.writeNewFile(at("/from"), large, 0o644);
    copyContent(files, { kind: "file", path: at("/from") }, at("/to"));
    expect(Buffer.compare(files.readFile(at("/to"), 1 << 20), large)).toBe(0);
    expect(files.lstat(at("/to"))).toMatchObject({ permissions: 0o600, nlink: 1 });
  });

  test("never writes to a file that is there", () => {
    const linux = new FakeLinux({ clone });
    const { files } = linux;
    files.writeNewFile(at("/from"), large, 0o644);
    files.writeNewFile(at("/to"), toBytes(at("old")), 0o644);
    for (const source of [{ kind: "file", path: at("/from") } as const, { kind: "bytes", bytes: large } as const]) {
      expect(() => copyContent(files, source, at("/to"))).toThrow(expect.objectContaining({ code: "already-exists" }));
    }
    expect(fromBytes(files.readFile(at("/to"), 10))).toBe("old");
    expect(linux.openPaths).toEqual([]);
  });
});

test("copyContent: writes bytes from memory", () => {
  const { files } = new FakeLinux();
  copyContent(files, { kind: "bytes", bytes: large }, at("/to"));
  expect(Buffer.compare(files.readFile(at("/to"), 1 << 20), large)).toBe(0);
});

test("withOpen: closes the file when its user fails", () => {
  const linux = new FakeLinux();
  linux.files.writeNewFile(at("/file"), large, 0o644);
  const use = () =>
    withOpen(linux.files, at("/file"), "read", () => {
      throw new Error("no");
    });
  expect(use).toThrow("no");
  expect(linux.openPaths).toEqual([]);
  expect(withOpen(linux.files, at("/file"), "read", (fd) => linux.files.fstat(fd).sizeBytes)).toBe(600_001);
});

test("readPieces: gives everything from the file's position on, in pieces that share a buffer", () => {
  const { files } = new FakeLinux();
  files.writeNewFile(at("/file"), large, 0o644);
  const pieces: Buffer[] = [];
  withOpen(files, at("/file"), "read", (fd) => {
    files.read(fd, new Uint8Array(5), { offset: 0, length: 5 });
    readPieces(files, fd, (piece) => pieces.push(Buffer.from(piece)));
  });
  expect(Buffer.concat(pieces).equals(large.subarray(5))).toBe(true);
  expect(pieces.length).toBeGreaterThan(1);
});

test("readToEnd: gives the whole file up to the limit, and refuses more", () => {
  const linux = new FakeLinux();
  const { files } = linux;
  files.writeNewFile(at("/file"), large, 0o644);
  const read = (limitBytes: number) =>
    withOpen(files, at("/file"), "read", (fd) => Buffer.compare(readToEnd(files, fd, limitBytes), large));
  expect(read(large.length)).toBe(0);
  expect(() => read(large.length - 1)).toThrow(expect.objectContaining({ code: "limit-exceeded" }));
  expect(linux.openPaths).toEqual([]);
});
