import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../../src/core/digest/fs-verity.ts";
import { DigestStore } from "../../../src/repo/digest-store.ts";
import { readDirectoryIfExists } from "../../../src/repo/object-listing.ts";
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
  const found = new DigestStore(linux.files, storing ? store : undefined).add(file, linux.files.lstat(file));
  return { linux, bytes, found, ...placeOf(bytes) };
}

function placeOf(bytes: Uint8Array) {
  const id = verityDigest("sha256", bytes);
  return { id, place: fromText(`/store/${id.slice(0, 2)}/${id.slice(2)}`) };
}

describe("DigestStore", () => {
  test.each([0, 1, 64])("%i bytes go into the image itself", (size) => {
    const { found, linux } = added(size);
    expect(found).toMatchObject({ kind: "inline" });
    expect(found.kind === "inline" && found.bytes.length).toBe(size);
    expect(readDirectoryIfExists(linux.files, store)).toEqual([]);
  });

  test.each([65, 4096, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1, 9_000_000])("%i bytes are stored by digest", (size) => {
    const { found, linux, id, bytes, place } = added(size);
    expect(found).toEqual({
      kind: "external",
      sizeBytes: BigInt(size),
      backingPath: `${id.slice(0, 2)}/${id.slice(2)}`,
      digest: id,
    });
    expect(Buffer.compare(linux.files.readFile(place, 1 << 24), bytes)).toBe(0);
    expect(linux.files.lstat(place).permissions).toBe(0o644);
    expect(linux.openPaths).toEqual([]);
  });

  test("without a path nothing is written, and the same is said", () => {
    const { found, linux } = added(5000, { storing: false });
    expect(found).toEqual(added(5000).found);
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
