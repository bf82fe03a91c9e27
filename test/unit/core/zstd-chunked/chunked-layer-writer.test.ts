import { describe, expect, test } from "vitest";
import { parseChunkedToc } from "../../../../src/core/oci/zstd-chunked-toc.ts";
import { readTarSplit } from "../../../../src/core/tar/tar-split.ts";
import { ChunkedLayerWriter } from "../../../../src/core/zstd-chunked/chunked-layer-writer.ts";
import { concat } from "../../../builders/layers.ts";
import { sha256 } from "../../../builders/oci-layer.ts";
import { entry, header } from "../../../builders/tar-blocks.ts";

const end = new Uint8Array(1024);
const tarSplitDigest = `sha256:${"5".repeat(64)}`;

interface Written {
  /** The frames; they are not compressed, so that offsets are easy to follow. The blob begins at 1. */
  readonly frames: readonly Buffer[];
  readonly tarSplit: string;
  readonly toc: string;
}

function write(tar: Uint8Array, step = tar.length): Written {
  const frames: Buffer[] = [];
  let open: Uint8Array[] = [];
  let size = 1;
  let tarSplit = "";
  let toc = "";
  const writer = new ChunkedLayerWriter({
    data: (bytes) => void open.push(bytes.slice()),
    endFrame: () => {
      const frame = Buffer.concat(open);
      if (frame.length > 0) frames.push(frame);
      open = [];
      size += frame.length;
      return size;
    },
    tarSplit: (text) => {
      tarSplit += text;
    },
    toc: (text) => {
      toc += text;
    },
  });
  for (let at = 0; at < tar.length; at += step) writer.push(tar.subarray(at, at + step));
  writer.finish();
  writer.finishToc(tarSplitDigest);
  return { frames, tarSplit, toc };
}

const sparse = Buffer.concat([Buffer.from("head"), Buffer.alloc(100_000), Buffer.from("tail")]);
const tar = concat([
  header({ name: "d/", type: "5" }),
  entry({ name: "d/a" }, "hello"),
  entry({ name: "d/empty" }),
  entry({ name: "d/sparse" }, sparse),
  end,
  new Uint8Array(8192),
]);

describe("ChunkedLayerWriter", () => {
  test("the frames are the tar, one for each chunk and for what is between", () => {
    const { frames } = write(tar);
    expect(Buffer.concat(frames).equals(tar)).toBe(true);
    expect(frames.map(({ length }) => length)).toEqual([1024, 5, 507 + 1024, 4, 100_000, 4, 344 + 1024 + 8192]);
  });

  test("its own readers find every content where the table says, and the tar again", () => {
    const { frames, toc, tarSplit } = write(tar);
    const blob = Buffer.concat([Buffer.alloc(1), ...frames]);
    const { entries } = parseChunkedToc(Buffer.from(toc), blob.length);
    expect(entries.map(({ name, sizeBytes, chunks }) => [name, sizeBytes, chunks.length])).toEqual([
      ["d/", 0, 0],
      ["d/a", 5, 1],
      ["d/empty", 0, 0],
      ["d/sparse", sparse.length, 3],
    ]);
    const contents = entries.map(({ chunks }) =>
      Buffer.concat(
        chunks.map(({ frame, sizeBytes }) =>
          frame === undefined
            ? Buffer.alloc(sizeBytes)
            : blob.subarray(frame.offsetBytes, frame.offsetBytes + frame.lengthBytes),
        ),
      ),
    );
    expect(
      contents.map((content, at) => [content.length === 0 ? "" : sha256(content).slice(7), entries[at]?.digest]),
    ).toEqual(entries.map(({ digest }) => [digest, digest]));
    const pieces: Uint8Array[] = [];
    let file = 0;
    for (const record of readTarSplit(Buffer.from(tarSplit))) {
      pieces.push(record.kind === "segment" ? record.bytes.slice() : (contents[file++] ?? Buffer.alloc(0)));
    }
    expect(Buffer.concat(pieces).equals(tar)).toBe(true);
  });

  test("the same whatever the pieces are", () => {
    const whole = write(tar);
    for (const step of [512, 1000, 7]) {
      const { frames, ...tables } = write(tar, step);
      expect(frames.map(sha256)).toEqual(whole.frames.map(sha256));
      expect(tables).toEqual({ tarSplit: whole.tarSplit, toc: whole.toc });
    }
  });

  test("what follows the end comes in segments of at most 1 MiB", () => {
    const { tarSplit } = write(concat([header(), end, new Uint8Array(2_500_000)]));
    const lengths = [...readTarSplit(Buffer.from(tarSplit))].map((record) =>
      record.kind === "segment" ? record.bytes.length : record.kind,
    );
    expect(lengths).toEqual([512, "file", 1024, 1_048_576, 1_048_576, 2_500_000 - 2_097_152]);
  });

  test("a layer without entries has null for them", () => {
    expect(write(end).toc).toBe(`{"version":1,"entries":null,"tarSplitDigest":"${tarSplitDigest}"}`);
  });

  test.each<[string, Uint8Array, string]>([
    ["two entries of one path", concat([header({ name: "a" }), header({ name: "./a" })]), "its path is not its own"],
    ["a path that climbs", header({ name: "a/../b" }), "its path is not its own"],
    ["a name that is no UTF-8", header({ name: "a\xff" }), "it is no UTF-8"],
    ["a link that is no UTF-8", header({ type: "2", linkName: "\xff" }), "is no UTF-8"],
  ])("%s: refused", (_name, bytes, message) => {
    expect(() => write(bytes)).toThrow(
      expect.objectContaining({ code: "unsupported", message: expect.stringContaining(message) }),
    );
  });
});
