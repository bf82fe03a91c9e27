import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseDiffId } from "../../../src/core/digest/oci-digest.ts";
import type { ContentPlan } from "../../../src/core/oci/plan-partial-pull.ts";
import type { TocEntry } from "../../../src/core/oci/zstd-chunked-toc.ts";
import { type IndexedContent, readContentIndex, writeContentIndex } from "../../../src/repo/content-index-file.ts";
import { ContentTable } from "../../../src/repo/content-table.ts";
import { FetchedFrames } from "../../../src/repo/fetched-frames.ts";
import { KnownContents } from "../../../src/repo/known-contents.ts";
import { type AssembledLayer, LayerAssembly } from "../../../src/repo/layer-assembly.ts";
import { ObjectStaging } from "../../../src/repo/object-staging.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { buildLayer, sha256 } from "../../builders/oci-layer.ts";
import { refusal } from "../../builders/refusal.ts";
import { content, idOf, makeRepo, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

/** A directory, and a file of zeros: nothing of it has to be here, nor to be fetched. */
const zeros = new Uint8Array(3000);
const { tar } = await buildLayer([{ path: "usr/" }, { path: "usr/zeros", content: zeros }], "none");
const digest = sha256(zeros).slice("sha256:".length);
const entries: readonly TocEntry[] = [
  { name: "usr/", sizeBytes: 0, digest: "", chunks: [] },
  { name: "usr/zeros", sizeBytes: 3000, digest, chunks: [{ digest, sizeBytes: 3000, frame: undefined }] },
];
const contents: readonly ContentPlan<number>[] = [[], [{ kind: "zeros", sizeBytes: 3000, digest }]];
const headers = [tar.subarray(0, 512), tar.subarray(512, 1024)] as const;
const rest = tar.subarray(1024 + 3000);

const segment = (bytes: Uint8Array) => ({ type: 2, payload: Buffer.from(bytes).toString("base64") });
const file = ({ name, sizeBytes }: Pick<TocEntry, "name" | "sizeBytes">) => ({ type: 1, name, size: sizeBytes });
const linesOf = (end = rest) => [segment(headers[0]), file(at(0)), segment(headers[1]), file(at(1)), segment(end)];

function at(index: number): TocEntry {
  const entry = entries[index];
  if (entry === undefined) throw new Error("there is such an entry");
  return entry;
}

function splitOf(lines: readonly object[]): Uint8Array {
  return Buffer.from(lines.map((line, position) => `${JSON.stringify({ ...line, position })}\n`).join(""));
}

/** What the repo holds besides nothing: an object, and what an index says of it. */
interface Held {
  readonly bytes: Uint8Array;
  readonly contents: readonly IndexedContent[];
}

function tableOf(contents: readonly IndexedContent[]): ContentTable {
  const bytes = writeContentIndex("sha512", contents);
  const layout = readContentIndex(bytes, "sha512");
  if (layout === undefined) throw new Error("what was written can be read");
  return ContentTable.of("sha512", [{ bytes, layout }]).table;
}

/** The tar bytes of the layer as it is put together. */
function assembled(changes: Partial<AssembledLayer>, held?: Held): number {
  const linux = new FakeLinux();
  makeRepo(linux, { secure: false });
  if (held !== undefined) {
    withRepo(linux, "write", (repo) =>
      stageAndPublish(repo, (staging) => {
        staging.add(held.bytes);
        return {};
      }),
    );
  }
  const before = linux.files.readDirectory(fromText("/repo/objects"));
  return withRepo(linux, "write", (repo) => {
    const staging = new ObjectStaging(repo.files, new StagingRun(repo).newStagingOptions());
    const frames = new FetchedFrames(repo.files, { ranges: [], pathOf: () => fromText(""), waitFor: () => undefined });
    const known = new KnownContents(tableOf(held?.contents ?? []), staging);
    const layer = { diffId: parseDiffId(sha256(tar)), entries, contents, known, tarSplit: splitOf(linesOf()) };
    const assembly = new LayerAssembly(
      repo.files,
      staging,
      { ...layer, tarBytesLimit: tar.length, onProgress: () => undefined, ...changes },
      frames,
    );
    try {
      return assembly.run().tarBytes;
    } finally {
      assembly.close();
      frames.close();
      expect(linux.files.readDirectory(fromText("/repo/objects"))).toEqual(before);
    }
  });
}

describe("LayerAssembly", () => {
  test("puts a layer together that may have exactly so many bytes", () => {
    expect(assembled({})).toBe(tar.length);
  });

  test.each([64, 65, 1_045_000, 1_047_800, 1_048_576, 2_000_000])(
    "puts a layer together whose first file has %d bytes",
    async (size) => {
      const files = [size, 3000].map((bytes, index) => ({ path: `f${index}`, content: new Uint8Array(bytes) }));
      const built = await buildLayer(files, "none");
      const second = 512 + Math.ceil(size / 512) * 512 + 512;
      const toc = [size, 3000].map((sizeBytes, index) => ({
        ...{ name: `f${index}`, sizeBytes, digest: zerosDigest(sizeBytes) },
        chunks: [{ digest: zerosDigest(sizeBytes), sizeBytes, frame: undefined }],
      }));
      const segments = [built.tar.subarray(0, 512), built.tar.subarray(512 + size, second)].map(segment);
      const lines = toc.flatMap((entry, index) => [segments[index] ?? {}, file(entry)]);
      const layer = {
        ...{ diffId: parseDiffId(sha256(built.tar)), tarBytesLimit: built.tar.length, entries: toc },
        contents: toc.map(({ sizeBytes, digest }) => [{ kind: "zeros" as const, sizeBytes, digest }]),
        tarSplit: splitOf([...lines, segment(built.tar.subarray(second + 3000))]),
      };
      expect(assembled(layer)).toBe(built.tar.length);
    },
  );

  test("reads a file that is a part of a known object from its place there, and not as the whole object", () => {
    const bytes = Buffer.concat([content(1000), zeros, content(500)]);
    const place = { kind: "object", id: idOf(bytes), offsetBytes: 1000, sizeBytes: 3000, isWhole: false } as const;
    const held = { bytes, contents: [{ digest, place }] };
    const record = tableOf(held.contents).findRecord(digest, 3000) ?? Number.NaN;
    const known: ContentPlan<number> = [{ kind: "known", known: record, sizeBytes: 3000, digest }];
    expect(assembled({ contents: [[], known] }, held)).toBe(tar.length);
  });

  test.each<readonly [string, Partial<AssembledLayer>, string]>([
    ["of one byte more than it may have", { tarBytesLimit: tar.length - 1 }, "limit-exceeded: Cannot use layer"],
    ["whose content alone is too large", { tarBytesLimit: 3500 }, "limit-exceeded: Cannot use layer"],
    ["of another digest", { diffId: parseDiffId(sha256(headers[0])) }, "digest-mismatch: Cannot put layer"],
    [
      "that is cut off, as its digest promises",
      {
        diffId: parseDiffId(sha256(tar.subarray(0, 1024 + 3000))),
        tarSplit: splitOf(linesOf().slice(0, -1)),
      },
      "bad-format: Cannot read tar: it is cut off after",
    ],
    [
      "with a header in two parts",
      {
        tarSplit: splitOf([
          segment(headers[0].subarray(0, 100)),
          segment(headers[0].subarray(100)),
          ...linesOf().slice(1),
        ]),
      },
      "bad-format: Cannot use the layer's table of contents and tar-split: a header is cut in two",
    ],
    [
      "with fewer entries than its table",
      { entries: [...entries, at(0)], contents: [...contents, []] },
      "bad-format: Cannot use the layer's table of contents and tar-split: the table of contents has more entries",
    ],
    [
      "with more entries than its table",
      { entries: entries.slice(0, 1), contents: contents.slice(0, 1) },
      "bad-format: Cannot use the layer's table of contents and tar-split: the tar-split has more entries",
    ],
    [
      "with an entry of another name",
      { entries: [at(0), { ...at(1), name: "usr/other" }] },
      "bad-format: Cannot use the layer's table of contents and tar-split: entry 1 is another one",
    ],
    [
      "with an entry of another size",
      { entries: [at(0), { ...at(1), sizeBytes: 2999 }] },
      "bad-format: Cannot use the layer's table of contents and tar-split: entry 1 is another one",
    ],
    [
      "whose tables agree on another size than its tar has",
      {
        entries: [at(0), { ...at(1), sizeBytes: 2999 }],
        tarSplit: splitOf(linesOf().map((line) => ("size" in line && line.size > 0 ? { ...line, size: 2999 } : line))),
      },
      "bad-format: Cannot use the layer's table of contents and tar-split: entry 1 has another size in the tar",
    ],
    [
      "with content that is not what the table says",
      { contents: [[], [{ kind: "zeros", sizeBytes: 3000, digest: "0".repeat(64) }]] },
      "digest-mismatch: Cannot use a part of layer",
    ],
    [
      "with parts that are each right, and not together",
      {
        entries: [at(0), { ...at(1), digest: "0".repeat(64) }],
        contents: [
          [],
          [1000, 2000].map((sizeBytes) => ({ kind: "zeros" as const, sizeBytes, digest: zerosDigest(sizeBytes) })),
        ],
      },
      "digest-mismatch: Cannot use a part of layer",
    ],
    [
      "with content among what is none",
      { tarSplit: splitOf([...linesOf().slice(0, 3), segment(tar.subarray(1024))]) },
      "bad-format: Cannot use the layer's table of contents and tar-split: a file's content is among what is no content",
    ],
  ])("refuses a layer %s", (_name, changes, message) => {
    expect(refusal(() => assembled(changes))).toContain(message);
  });
});

function zerosDigest(sizeBytes: number): string {
  return sha256(new Uint8Array(sizeBytes)).slice("sha256:".length);
}
