import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseLayerDigest } from "../../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { collectGarbage } from "../../../src/repo/gc.ts";
import { type KeptRanges, openKeptRanges } from "../../../src/repo/kept-ranges.ts";
import { readDirectoryIfExists } from "../../../src/repo/object-listing.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { content, makeRepo, repoPath, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const digest = parseLayerDigest(`sha256:${"a".repeat(64)}`);
const blob = content(600_000, 1);
const staging = fromText(`${repoPath}/staging`);
const whole = fromText(`${staging}/layer-sha256-${"a".repeat(64)}`);
const parts = fromText(`${whole}-parts`);

/** A machine where earlier runs have left the parts of `blob` with these bounds. */
function machine(...bounds: readonly (readonly [number, number])[]): FakeLinux {
  const linux = new FakeLinux();
  makeRepo(linux);
  linux.files.makeDirectory(staging, 0o700);
  linux.files.makeDirectory(parts, 0o700);
  for (const [start, end] of bounds) {
    linux.files.writeNewFile(fromText(`${parts}/${start}`), blob.subarray(start, end), 0o600);
  }
  return linux;
}

function opened(linux: FakeLinux, files = linux.files): KeptRanges {
  const kept = openKeptRanges(files, repoPath, digest);
  if (kept === undefined) throw new Error("nobody else has it");
  return kept;
}

function copied(linux: FakeLinux, offsetBytes: number, lengthBytes: number): Uint8Array {
  const path = fromText("/copy");
  const fd = linux.files.open(path, "create", 0o600);
  const kept = opened(linux);
  const done = kept.copy({ offsetBytes, lengthBytes }, fd);
  kept.close();
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

  test("says where the next bytes are", () => {
    const kept = opened(machine([1000, 2000], [500, 400_000]));
    expect([0, 500, 999, 1000].map((at) => kept.nextAfter(at))).toEqual([500, 1000, 1000, Number.POSITIVE_INFINITY]);
  });

  test("gives what was fetched when the layer was to come whole", () => {
    const linux = machine([1000, 2000]);
    linux.files.writeNewFile(whole, blob.subarray(0, 1500), 0o600);
    expect(copied(linux, 10, 5000)).toHaveLength(1490);
  });

  test("knows nothing of other layers, of what is no part, and of empty parts", () => {
    const linux = machine([7, 7]);
    linux.files.writeNewFile(fromText(`${staging}/layer-sha256-${"b".repeat(64)}`), blob, 0o600);
    linux.files.writeNewFile(fromText(`${parts}/x`), blob, 0o600);
    linux.files.makeDirectory(fromText(`${parts}/8`), 0o700);
    expect(copied(linux, 8, 10)).toHaveLength(0);
  });

  test("passes over a part that is gone or that the disk cannot give any more", () => {
    const linux = machine([1, 300_000]);
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
    const range = { offsetBytes: 1, lengthBytes: 299_999 };
    const broken = opened(linux, files);
    expect(broken.copy(range, fd)).toBe(256 * 1024);
    broken.close();
    const kept = opened(linux);
    linux.files.unlink(fromText(`${parts}/1`));
    expect(kept.copy(range, fd)).toBe(0);
    kept.close();
    linux.files.close(fd);
  });

  test("tells of an error that is none of a part", () => {
    const linux = machine([1, 10]);
    const kept = opened(linux, { ...linux.files, open: (path, ...more) => refuse(linux, path, more) });
    expect(() => kept.copy({ offsetBytes: 1, lengthBytes: 5 }, linux.files.open(fromText("/c"), "create"))).toThrow(
      "no more files",
    );
  });

  test("forgets bytes that turned out bad, and goes on with none", () => {
    const linux = machine([1, 300_000]);
    const kept = opened(linux);
    kept.clear();
    expect(kept.found).toEqual([]);
    expect(readDirectoryIfExists(linux.files, parts)).toEqual([]);
    kept.close();
  });

  test("is collected", () => {
    const linux = machine([1, 10]);
    withRepo(linux, "exclusive", (repo) => collectGarbage(repo, { keepImages: [] }));
    expect(readDirectoryIfExists(linux.files, staging)).toEqual([]);
  });
});

describe("openKeptRanges", () => {
  test("in a repo whose path is not ASCII", () => {
    const { files } = new FakeLinux();
    for (const path of ["/répo", "/répo/staging"]) files.makeDirectory(fromText(path), 0o700);
    const kept = openKeptRanges(files, fromText("/répo"), digest);
    expect(kept?.directory).toBe(fromText(`/répo/staging/layer-sha256-${"a".repeat(64)}-parts`));
    kept?.close();
  });

  test("gives a layer's ranges to one run at a time", () => {
    const linux = machine();
    const first = opened(linux);
    expect(openKeptRanges(linux.files, repoPath, digest)).toBeUndefined();
    first.close();
    opened(linux).close();
    expect(linux.openPaths).toEqual([]);
  });

  test("makes the directory anew when it is removed in the moment before it is locked", () => {
    const linux = machine();
    let removals = 1;
    const files = racing(linux, () => removals-- > 0);
    opened(linux, files).close();
    expect(linux.files.lstatIfExists(parts)).toBeDefined();
    expect(linux.openPaths).toEqual([]);
  });

  test("gives up where it is removed again and again", () => {
    const linux = machine();
    expect(
      openKeptRanges(
        racing(linux, () => true),
        repoPath,
        digest,
      ),
    ).toBeUndefined();
    expect(linux.openPaths).toEqual([]);
  });
});

describe("StagingRun: the ranges of a layer", () => {
  function inRun(linux: FakeLinux, act: (run: StagingRun) => void): void {
    withRepo(linux, "write", (repo) => {
      const run = new StagingRun(repo);
      act(run);
      run.close();
    });
    expect(linux.openPaths).toEqual([]);
  }

  test("stay for the next run, and go with the layer", () => {
    const linux = machine([1, 10]);
    inRun(linux, (run) => {
      const kept = run.openKeptRanges(digest);
      expect(kept?.found).toEqual([expect.objectContaining({ offsetBytes: 1, lengthBytes: 9 })]);
      expect(run.openKeptRanges(digest)).toBe(kept);
    });
    expect(readDirectoryIfExists(linux.files, parts)).toEqual([fromText("1")]);
    inRun(linux, (run) => {
      run.openKeptRanges(digest);
      run.dropPartialLayers();
    });
    expect(readDirectoryIfExists(linux.files, staging)).toEqual([]);
  });

  test("leave nothing where nothing came, and take what came of the whole layer with them", () => {
    const linux = machine();
    linux.files.writeNewFile(whole, blob, 0o600);
    linux.files.writeNewFile(fromText(`${parts}/5`), new Uint8Array(0), 0o600);
    inRun(linux, (run) => void run.openKeptRanges(digest));
    expect(readDirectoryIfExists(linux.files, staging)).toEqual([fromText(whole.slice(staging.length + 1))]);
    inRun(linux, (run) => {
      run.openKeptRanges(digest);
      run.dropFetched(digest);
    });
    expect(readDirectoryIfExists(linux.files, staging)).toEqual([]);
  });

  test("are not to be had while another run has them", () => {
    const linux = machine();
    const other = opened(linux);
    withRepo(linux, "write", (repo) => {
      const run = new StagingRun(repo);
      expect(run.openKeptRanges(digest)).toBeUndefined();
      run.close();
    });
    other.close();
  });
});

function refuse(linux: FakeLinux, path: Parameters<FakeLinux["files"]["open"]>[0], more: readonly unknown[]) {
  const [mode] = more as [Parameters<FakeLinux["files"]["open"]>[1]];
  if (mode === "read") throw new OsdeployError("limit-exceeded", "no more files");
  return linux.files.open(path, mode);
}

/** Files where somebody removes the directory between the call that opens and the one that locks it. */
function racing(linux: FakeLinux, removes: () => boolean): FakeLinux["files"] {
  return {
    ...linux.files,
    lock: (...call) => {
      if (removes()) linux.files.removeDirectory(parts);
      return linux.files.lock(...call);
    },
  };
}
