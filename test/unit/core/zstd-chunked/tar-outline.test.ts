import { describe, expect, test } from "vitest";
import { TarOutline } from "../../../../src/core/zstd-chunked/tar-outline.ts";
import { concat } from "../../../builders/layers.ts";
import { entry, gnu, header, latin1, paxRecord, v7 } from "../../../builders/tar-blocks.ts";

const end = new Uint8Array(1024);

/** What an outline tells of `tar`, in pieces of `step` bytes: names, contents, and all bytes again. */
function outline(tar: Uint8Array, step: number): { readonly told: readonly string[]; readonly bytes: Buffer } {
  const told: string[] = [];
  const bytes: Uint8Array[] = [];
  let content = "";
  const reader = new TarOutline({
    raw: (piece) => void bytes.push(piece.slice()),
    entry: ({ name, sizeBytes }) => void told.push(`${name} ${sizeBytes}`),
    content: (piece) => {
      bytes.push(piece.slice());
      content += Buffer.from(piece).toString("latin1");
    },
    endContent: () => {
      told.push(`content ${content}`);
      content = "";
    },
    endOfArchive: () => void told.push("end"),
  });
  for (let at = 0; at < tar.length; at += step) reader.push(tar.subarray(at, at + step));
  reader.finish();
  return { told, bytes: Buffer.concat(bytes) };
}

function expectTold(tar: Uint8Array, told: readonly string[]): void {
  for (const step of [tar.length, 512, 100, 1]) expect(outline(tar, step)).toEqual({ told, bytes: Buffer.from(tar) });
}

const refusal = (message: string) =>
  expect.objectContaining({ code: "unsupported", message: expect.stringContaining(message) });

describe("TarOutline", () => {
  test("tells entries and contents, and passes every byte on", () => {
    const tar = concat([
      header({ name: "d/", type: "5" }),
      entry({ name: "a" }, "hello"),
      entry({ name: "block" }, "x".repeat(512)),
      entry({ name: "empty" }, ""),
      end,
      latin1("junk"),
    ]);
    expectTold(tar, ["d/ 0", "a 5", "content hello", "block 512", `content ${"x".repeat(512)}`, "empty 0", "end"]);
  });

  test("applies extensions to the entry behind them, once", () => {
    const tar = concat([
      entry({ name: "pax", type: "x" }, paxRecord("path", "other")),
      entry({ name: "short" }, "1"),
      entry({ name: "long", type: "L", magic: gnu }, `${"n".repeat(120)}\0`),
      entry({ name: "link", type: "K", magic: gnu }, "target"),
      header({ name: "s", type: "2", magic: gnu }),
      header({ name: "last" }),
      end,
    ]);
    expectTold(tar, ["other 1", "content 1", `${"n".repeat(120)} 0`, "last 0", "end"]);
  });

  test("a tar may end without zero blocks, or with one", () => {
    expectTold(concat([header({ name: "a" })]), ["a 0"]);
    expectTold(concat([header({ name: "a" }), new Uint8Array(512)]), ["a 0"]);
    expect(outline(new Uint8Array(0), 1).told).toEqual([]);
  });

  test.each<[string, Uint8Array, string]>([
    ["a header that is cut off", header().subarray(0, 500), "cut off"],
    ["content that is cut off", header({ size: 5 }), "cut off"],
    ["an extension without an entry", entry({ type: "x" }, paxRecord("a", "b")), "cut off"],
    ["an extension before the end", concat([entry({ type: "L" }, "name"), end]), "has no entry"],
    ["a link name before the end", concat([entry({ type: "K" }, "name"), end]), "has no entry"],
    ["two PAX headers", concat([1, 2].map(() => entry({ type: "x" }, paxRecord("a", "b")))), "two PAX headers"],
    ["an extension without magic", entry({ type: "x", magic: v7 }, "x"), "no magic"],
    ["an empty extension", header({ type: "x" }), "has 0 bytes"],
    ["a huge extension", header({ type: "x", size: 2 ** 30 }), "has 1073741824 bytes"],
    ["a lone zero block", concat([new Uint8Array(512), header()]), "a zero block stands between"],
  ])("%s is refused", (_name, tar, message) => {
    expect(() => outline(tar, tar.length)).toThrow(refusal(message));
  });
});
