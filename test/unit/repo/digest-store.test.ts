import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../../src/core/digest/fs-verity.ts";
import { DigestStore } from "../../../src/repo/digest-store.ts";
import { content } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const store = fromText("/store");
const file = fromText("/file");

/** Made once: the larger ones take a while. */
const contents = new Map<number, Uint8Array>();
function bytesOf(sizeBytes: number): Uint8Array {
  const bytes = contents.get(sizeBytes) ?? content(sizeBytes);
  contents.set(sizeBytes, bytes);
  return bytes;
}

function added(sizeBytes: number, { linux = new FakeLinux(), storing = true } = {}) {
  const bytes = bytesOf(sizeBytes);
  linux.files.writeNewFile(file, bytes, 0o640);
  const digests = new DigestStore(linux.files, storing ? store : undefined, { temporarySuffix: "" });
  return { linux, bytes, found: digests.add(file, sizeBytes).id, ...placeOf(bytes) };
}

function placeOf(bytes: Uint8Array) {
  const id = verityDigest("sha256", bytes);
  return { id, place: fromText(`/store/${id.slice(0, 2)}/${id.slice(2)}`) };
}

describe("DigestStore", () => {
  test.each([65, 4096, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1, 9_000_000])("%i bytes are stored by digest", (size) => {
    const { found, linux, id, bytes, place } = added(size);
    expect(found).toBe(id);
    expect(Buffer.compare(linux.files.readFile(place, 1 << 24), bytes)).toBe(0);
    expect(linux.files.lstat(place).permissions).toBe(0o644);
    expect(linux.openPaths).toEqual([]);
  });

  test.each([
    [5000, 4999],
    [5000, 5001],
    [5000, 5_000_000],
    [5_000_000, 5_000_001],
  ])("a file of %i bytes that had %i is refused", (size, before) => {
    const linux = new FakeLinux();
    linux.files.writeNewFile(file, bytesOf(size), 0o640);
    const digests = new DigestStore(linux.files, store, { temporarySuffix: "" });
    expect(() => digests.add(file, before).id).toThrow("it changes while it is read");
    expect(linux.openPaths).toEqual([]);
  });

  test("contents that are there are left, and what a cut-off run left is replaced", () => {
    const { linux, place } = added(5000);
    linux.files.unlink(place);
    linux.files.writeNewFile(fromText(`${place}.tmp`), new Uint8Array(3), 0o600);
    const again = () => new DigestStore(linux.files, store, { temporarySuffix: "" }).add(file, 5000).id;
    again();
    expect(linux.files.readDirectory(place.slice(0, place.lastIndexOf("/")) as typeof place)).toHaveLength(1);
    const calls = linux.trace.length;
    again();
    expect(linux.trace.length).toBe(calls);
  });

  test("without a path nothing is written, and the same is said", () => {
    const { found, linux } = added(5000, { storing: false });
    expect(found).toBe(added(5000).found);
    expect(linux.trace.map(({ path }) => path)).toEqual([file]);
    expect(linux.files.lstatIfExists(store)).toBeUndefined();
  });

  test.each(["ENOSPC", "EIO"] as const)("a name is never half a file, also after %s", (fault) => {
    for (const size of [5000, 5_000_000]) {
      for (let failAt = 2; failAt <= 8; failAt++) {
        const linux = new FakeLinux({ failAt, fault, halfWritten: true });
        const { place } = placeOf(bytesOf(size));
        try {
          added(size, { linux });
        } catch (error) {
          expect(error).toMatchObject({ code: fault === "ENOSPC" ? "no-space" : "system" });
        }
        const there = linux.files.lstatIfExists(place);
        expect(there === undefined || there.sizeBytes === size).toBe(true);
        expect(linux.openPaths).toEqual([]);
      }
    }
  });
});
