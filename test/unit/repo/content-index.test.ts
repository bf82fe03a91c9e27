import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { type DiffId, parseDiffId } from "../../../src/core/digest/oci-digest.ts";
import { sha256Hex } from "../../../src/core/digest/sha256-hex.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { childPath } from "../../../src/linux/path.ts";
import { ContentIndex, putContentIndex, removeStaleIndexes } from "../../../src/repo/content-index.ts";
import { type IndexedContent, readContentIndex, writeContentIndex } from "../../../src/repo/content-index-file.ts";
import { measureContents } from "../../../src/repo/content-measure.ts";
import { ContentTable } from "../../../src/repo/content-table.ts";
import { collectGarbage } from "../../../src/repo/gc.ts";
import { readDirectoryIfExists } from "../../../src/repo/object-listing.ts";
import type { WritableRepo } from "../../../src/repo/repo.ts";
import { objectPath } from "../../../src/repo/repo-paths.ts";
import { layerStreamName } from "../../../src/repo/streams.ts";
import { content, idOf, makeRepo, repoPath, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const large = content(5000, 1);
const largeId = idOf(large);
const few = content(20, 2);
const whole: IndexedContent = {
  digest: sha256Hex(large),
  place: { kind: "object", id: largeId, offsetBytes: 0, sizeBytes: 5000, isWhole: true },
};
const part: IndexedContent = {
  digest: sha256Hex(large.subarray(1000, 3000)),
  place: { kind: "object", id: largeId, offsetBytes: 1000, sizeBytes: 2000, isWhole: false },
};
const inline: IndexedContent = { digest: sha256Hex(few), place: { kind: "inline", bytes: few } };
const all = [whole, part, inline];

function tableOf(...indexes: readonly (readonly IndexedContent[])[]): ContentTable {
  const loaded = indexes.map((contents) => {
    const bytes = writeContentIndex("sha512", contents);
    const layout = readContentIndex(bytes, "sha512");
    if (layout === undefined) throw new Error("what was written can be read");
    return { bytes, layout };
  });
  return ContentTable.of("sha512", loaded).table;
}

/** Contents of 1 to 64 bytes, of which others say that their digests begin alike. */
function colliding(count: number): readonly IndexedContent[] {
  return Array.from({ length: count }, (_, i): IndexedContent => {
    const bytes = content(1 + (i % 64), i);
    return { digest: `00000000${sha256Hex(Buffer.from(`number ${i}`)).slice(8)}`, place: { kind: "inline", bytes } };
  });
}

describe("ContentTable", () => {
  test("finds whole objects, parts of them and inline bytes, by sha256 and size", () => {
    const table = tableOf(all);
    expect(table.find(whole.digest, 5000)?.place).toEqual({
      kind: "object",
      id: largeId,
      offsetBytes: 0,
      isWhole: true,
    });
    expect(table.find(part.digest, 2000)?.place).toEqual({
      kind: "object",
      id: largeId,
      offsetBytes: 1000,
      isWhole: false,
    });
    expect(table.find(inline.digest, 20)?.place).toEqual({ kind: "inline", bytes: few });
    expect(table.find(whole.digest, 4999)).toBeUndefined();
    expect(table.find("0".repeat(64), 20)).toBeUndefined();
  });

  test("finds the same in another thread, which gets only its memory", () => {
    const table = new ContentTable(tableOf(all).memory);
    expect(table.find(inline.digest, 20)?.place).toEqual({ kind: "inline", bytes: few });
  });

  test("forgets what lies in an object, in every thread, and finds all else, also what collides with it", () => {
    const behind = { ...inline, digest: `${whole.digest.slice(0, 8)}${inline.digest.slice(8)}` };
    const other = content(400, 3);
    const elsewhere: IndexedContent = {
      digest: sha256Hex(other),
      place: { kind: "object", id: idOf(other), offsetBytes: 0, sizeBytes: 400, isWhole: true },
    };
    const table = tableOf([whole, part, behind], [elsewhere]);
    new ContentTable(table.memory).forgetObjects(new Set([largeId]));
    expect([table.find(whole.digest, 5000), table.find(part.digest, 2000)]).toEqual([undefined, undefined]);
    expect(table.find(behind.digest, 20)?.place).toEqual({ kind: "inline", bytes: few });
    expect(table.find(elsewhere.digest, 400)?.place).toMatchObject({ id: idOf(other) });
  });

  test("gives up records whose digests collide with many others, and finds all else as fast", () => {
    const contents = colliding(20_000);
    const start = performance.now();
    const table = tableOf(contents, [whole]);
    const found = contents.filter(({ digest }, i) => table.find(digest, 1 + (i % 64)) !== undefined);
    // Quadratic, it took a quarter of a minute.
    expect(performance.now() - start).toBeLessThan(3000);
    expect(found).toEqual(contents.slice(0, 64));
    expect(table.find(`00000000${"f".repeat(56)}`, 20)).toBeUndefined();
    expect(table.find(whole.digest, 5000)?.place).toMatchObject({ id: largeId });
  });

  test("finds what any of many indexes holds, also where some hashes collide", () => {
    const contents = colliding(60);
    const table = tableOf(contents.slice(0, 20), [whole], contents.slice(20));
    for (const { digest, place } of contents) {
      const bytes = place.kind === "inline" ? place.bytes : few;
      expect(table.find(digest, bytes.length)?.place).toEqual(place);
    }
    expect(table.find(whole.digest, 5000)?.place).toMatchObject({ id: largeId });
  });

  test("holds nothing of nothing", () => {
    expect(tableOf().find(whole.digest, 5000)).toBeUndefined();
  });

  test("passes over records that point outside of their index", () => {
    const bytes = writeContentIndex("sha512", [whole, inline]);
    const view = new DataView(bytes.buffer);
    view.setUint32(32 + 64 + 16, 1, true);
    view.setBigUint64(32 + 64 + 40 + 24, 10n, true);
    const layout = readContentIndex(writeContentIndex("sha512", [whole, inline]), "sha512");
    if (layout === undefined) throw new Error("it can be read");
    const { table } = ContentTable.of("sha512", [{ bytes, layout }]);
    expect(table.find(whole.digest, 5000)).toBeUndefined();
    expect(table.find(inline.digest, 20)).toBeUndefined();
  });
});

test("measureContents: what a damaged object holds now is not taken for what has its name", () => {
  const linux = new FakeLinux();
  makeRepo(linux, { secure: false });
  withRepo(linux, "write", (repo) => {
    stageAndPublish(repo, (staging) => {
      staging.add(large);
      return undefined;
    });
    const contents = [{ kind: "external", sizeBytes: 5000n, backingPath: undefined, digest: largeId } as const];
    const measure = () =>
      measureContents(linux.files, contents, {
        ...{ algorithm: "sha512", hashBlocks: undefined, pathOf: (id) => objectPath(repoPath, id) },
      });
    expect(measure()).toEqual([whole]);
    linux.damage(objectPath(repoPath, largeId), 100);
    expect(measure()).toEqual([]);
  });
});

describe("writeContentIndex", () => {
  test("writes the bytes that its description says", () => {
    const bytes = Buffer.from(writeContentIndex("sha512", all));
    expect(bytes.subarray(0, 8).toString()).toBe("OSDCIDX1");
    expect([8, 12, 16, 20].map((at) => bytes.readUInt32LE(at))).toEqual([2, 1, 3, 20]);
    expect(bytes.subarray(32, 96).toString("hex")).toBe(largeId);
    expect(bytes.subarray(96, 112).toString("hex")).toBe(whole.digest.slice(0, 32));
    expect(bytes.length).toBe(32 + 64 + 3 * 40 + 24 + 32);
    expect(bytes.subarray(-32).toString("hex")).toBe(sha256Hex(bytes.subarray(0, -32)));
  });

  test("writes each content once, by preference as a whole object", () => {
    const same: IndexedContent = { ...part, digest: whole.digest };
    const bytes = Buffer.from(writeContentIndex("sha512", [same, whole, same]));
    expect(bytes.readUInt32LE(16)).toBe(1);
    expect(bytes.readUInt32LE(32 + 64 + 20)).toBe(0);
  });
});

describe("readContentIndex: takes no", () => {
  const good = writeContentIndex("sha256", [inline]);
  test.each([
    ["file that is too short", good.subarray(0, 60)],
    ["file that is cut", good.subarray(0, -1)],
    ["damaged one", good.map((byte, i) => (i === 40 ? byte ^ 1 : byte))],
    ["other file", good.map((byte, i) => (i === 0 ? byte ^ 1 : byte))],
  ])("%s", (_, bytes) => {
    expect(readContentIndex(bytes, "sha256")).toBeUndefined();
  });

  test("index of another algorithm's objects", () => {
    expect(readContentIndex(good, "sha256")).toBeDefined();
    expect(readContentIndex(good, "sha512")).toBeUndefined();
  });
});

const diffIds = ["a", "b"].map((digit) => parseDiffId(`sha256:${digit.repeat(64)}`));
const [first, second] = diffIds as [DiffId, DiffId];

function machine(): FakeLinux {
  const linux = new FakeLinux();
  makeRepo(linux);
  withRepo(linux, "write", (repo) => {
    stageAndPublish(repo, (staging) => ({
      streams: diffIds.map((id) => ({ name: layerStreamName(id), id: staging.add(large) })),
    }));
  });
  return linux;
}

function put(linux: FakeLinux, repo: WritableRepo, diffId: DiffId, contents: readonly IndexedContent[]): void {
  const path: Path = fromText("/index");
  linux.files.writeNewFile(path, writeContentIndex(repo.algorithm, contents), 0o644);
  putContentIndex(repo, diffId, path);
}

function names(linux: FakeLinux): readonly string[] {
  return readDirectoryIfExists(linux.files, fromText(`${repoPath}/content-index`));
}

describe("ContentIndex", () => {
  test("is empty in a new repo", () => {
    const linux = machine();
    withRepo(linux, "write", (repo) => {
      const index = ContentIndex.load(repo);
      expect(index.table).toBeUndefined();
      expect(index.has(first)).toBe(false);
      removeStaleIndexes(repo);
    });
  });

  test("holds what was put for layers that are here", () => {
    const linux = machine();
    withRepo(linux, "write", (repo) => {
      put(linux, repo, first, [whole]);
      put(linux, repo, second, [inline]);
      put(linux, repo, parseDiffId(`sha256:${"c".repeat(64)}`), [part]);
      const index = ContentIndex.load(repo);
      expect([first, second].map((diffId) => index.has(diffId))).toEqual([true, true]);
      expect(index.table?.find(whole.digest, 5000)).toBeDefined();
      expect(index.table?.find(inline.digest, 20)).toBeDefined();
      expect(index.table?.find(part.digest, 2000)).toBeUndefined();
    });
  });

  test("leaves out what is damaged or none of its files", () => {
    const linux = machine();
    withRepo(linux, "write", (repo) => {
      put(linux, repo, first, [whole]);
      const directory: Path = fromText(`${repoPath}/content-index`);
      linux.files.writeNewFile(childPath(directory, fromText(second.replace(":", "-"))), new Uint8Array(200), 0o644);
      linux.files.makeDirectory(childPath(directory, fromText(`sha512-${"0".repeat(128)}`)), 0o755);
      linux.files.writeNewFile(childPath(directory, fromText("README")), new Uint8Array(200), 0o644);
      const index = ContentIndex.load(repo);
      expect([first, second].map((diffId) => index.has(diffId))).toEqual([true, false]);
    });
  });

  test("forgets the layer whose record was wrong, and no other", () => {
    const linux = machine();
    withRepo(linux, "write", (repo) => {
      put(linux, repo, first, [whole]);
      put(linux, repo, second, [inline]);
      const index = ContentIndex.load(repo);
      index.distrust([index.table?.find(inline.digest, 20)?.record ?? -1]);
      // Also in memory, and in that of other threads: the next layer is not led astray again.
      const other = index.table && new ContentTable(index.table.memory);
      expect(other?.find(inline.digest, 20)).toBeUndefined();
      expect(other?.find(whole.digest, 5000)).toBeDefined();
      expect(names(linux)).toEqual([first.replace(":", "-")]);
      index.distrust([]);
      expect(names(linux)).toHaveLength(1);
    });
  });

  test("loses a layer's index when the layer is collected", () => {
    const linux = machine();
    withRepo(linux, "write", (repo) => put(linux, repo, first, [whole]));
    withRepo(linux, "exclusive", (repo) => collectGarbage(repo, { keepImages: [] }));
    expect(names(linux)).toEqual([]);
  });
});
