import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseLayerDigest } from "../../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { collectGarbage } from "../../../src/repo/gc.ts";
import { KeptRanges, keepRange } from "../../../src/repo/kept-ranges.ts";
import { readDirectoryIfExists } from "../../../src/repo/object-listing.ts";
import { content, makeRepo, repoPath, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const digest = parseLayerDigest(`sha256:${"a".repeat(64)}`);
const blob = content(600_000, 1);
const staging = fromText(`${repoPath}/staging`);

/** A machine that has kept the parts of `blob` with these bounds. */
function machine(...bounds: readonly (readonly [number, number])[]): FakeLinux {
  const linux = new FakeLinux();
  makeRepo(linux);
  linux.files.makeDirectory(staging, 0o700);
  for (const [start, end] of bounds) {
    const path = fromText("/part");
    linux.files.writeNewFile(path, blob.subarray(start, end), 0o600);
    keepRange(linux.files, repoPath, { digest, offsetBytes: start, path });
  }
  return linux;
}

function copied(linux: FakeLinux, offsetBytes: number, lengthBytes: number): Uint8Array {
  const path = fromText("/copy");
  const fd = linux.files.open(path, "create", 0o600);
  const done = KeptRanges.find(linux.files, repoPath, digest).copy({ offsetBytes, lengthBytes }, fd);
  linux.files.close(fd);
  const bytes = linux.files.readFile(path, 1_000_000);
  linux.files.unlink(path);
  expect(bytes.length).toBe(done);
  expect(Buffer.compare(bytes, blob.subarray(offsetBytes, offsetBytes + done))).toBe(0);
  return bytes;
}

describe("KeptRanges", () => {
  test("gives what is here of the beginning of a range, from the part that reaches furthest", () => {
    const linux = machine([1000, 2000], [500, 400_000], [1500, 1600]);
    expect(copied(linux, 1550, 500_000)).toHaveLength(400_000 - 1550);
    expect(copied(linux, 1500, 10)).toHaveLength(10);
    expect(copied(linux, 499, 10)).toHaveLength(0);
    expect(copied(linux, 400_000, 10)).toHaveLength(0);
    expect(linux.openPaths).toEqual([]);
  });

  test("knows nothing of other layers, of what is no part, and of empty parts", () => {
    const linux = machine([0, 0]);
    linux.files.writeNewFile(fromText(`${staging}/layer-sha256-${"a".repeat(64)}`), blob, 0o600);
    linux.files.writeNewFile(fromText(`${staging}/layer-sha256-${"b".repeat(64)}-from-0`), blob, 0o600);
    linux.files.writeNewFile(fromText(`${staging}/layer-sha256-${"a".repeat(64)}-from-x`), blob, 0o600);
    linux.files.makeDirectory(fromText(`${staging}/layer-sha256-${"a".repeat(64)}-from-0`), 0o700);
    expect(copied(linux, 0, 10)).toHaveLength(0);
    KeptRanges.find(linux.files, repoPath, digest).drop();
    expect(readDirectoryIfExists(linux.files, staging)).toHaveLength(4);
  });

  test("passes over a part that is gone or that the disk cannot give any more", () => {
    const linux = machine([0, 300_000]);
    const { read } = linux.files;
    let reads = 0;
    const files = {
      ...linux.files,
      read: (...call: Parameters<typeof read>) => {
        if (reads++ > 0) throw new OsdeployError("system", "the disk cannot do that");
        return read(...call);
      },
    };
    const fd = linux.files.open(fromText("/copy"), "create", 0o600);
    const range = { offsetBytes: 0, lengthBytes: 300_000 };
    expect(KeptRanges.find(files, repoPath, digest).copy(range, fd)).toBe(256 * 1024);
    const kept = KeptRanges.find(linux.files, repoPath, digest);
    kept.drop();
    expect(kept.copy(range, fd)).toBe(0);
    const full = { ...linux.files, open: () => refuse() };
    expect(() => KeptRanges.find(machineFiles(full), repoPath, digest).copy(range, fd)).toThrow("no more files");
    linux.files.close(fd);
  });

  test("is collected", () => {
    const linux = machine([0, 10]);
    withRepo(linux, "exclusive", (repo) => collectGarbage(repo, { keepImages: [] }));
    expect(readDirectoryIfExists(linux.files, staging)).toEqual([]);
  });
});

function refuse(): never {
  throw new OsdeployError("limit-exceeded", "no more files");
}

/** `files` where one part is kept. */
function machineFiles(files: FakeLinux["files"]): FakeLinux["files"] {
  const { files: others } = machine([0, 10]);
  return { ...others, open: files.open };
}
