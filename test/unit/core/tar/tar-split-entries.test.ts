import { describe, expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { type NamedContent, readTarSplitEntries } from "../../../../src/core/tar/tar-split-entries.ts";
import type { FileContent } from "../../../../src/core/tree/inode.ts";
import { ObjectContent } from "../../../../src/core/tree/object-content.ts";
import { buildChunkedLayer, type TarSplitFields } from "../../../builders/chunked-layer.ts";
import { refusal } from "../../../builders/refusal.ts";

const files = [
  { path: "usr/" },
  { path: "usr/small", content: "some bytes" },
  { path: "usr/empty", content: "" },
  { path: "usr/large", content: "x".repeat(3000) },
  { path: "usr/link", symlink: "small" },
];
const large = new ObjectContent("ab".repeat(64), 3000n);
const small: FileContent = { kind: "inline", bytes: fromText("other byte") };
const nothing: FileContent = { kind: "inline", bytes: fromText("") };
const contents: readonly NamedContent[] = [
  { sizeBytes: 0, content: nothing },
  { sizeBytes: 10, content: small },
  { sizeBytes: 0, content: nothing },
  { sizeBytes: 3000, content: large },
  { sizeBytes: 0, content: nothing },
];

/** The lines of the layer's tar-split, as one text. */
let lines: readonly TarSplitFields[] = [];
await buildChunkedLayer(files, {
  changeTarSplit: (walked) => {
    lines = walked;
    return walked;
  },
});
const split = (changed: readonly TarSplitFields[] = lines) =>
  new TextEncoder().encode(changed.map((line, position) => `${JSON.stringify({ ...line, position })}\n`).join(""));

describe("readTarSplitEntries", () => {
  test("gives each entry with the content that stands for its own", () => {
    const entries = readTarSplitEntries(split(), contents);
    expect(entries.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      ...["directory usr", "regular usr/small", "regular usr/empty", "regular usr/large", "symlink usr/link"],
    ]);
    expect(entries[1]).toHaveProperty("content", small);
    expect(entries[2]).toMatchObject({ content: nothing });
    expect(entries[3]).toHaveProperty("content", large);
  });

  test("shows the splitstream that a pull would write", () => {
    let inlineBytes = 0;
    const objects: bigint[] = [];
    readTarSplitEntries(split(), contents, {
      addInline: (bytes) => {
        inlineBytes += bytes.length;
      },
      addObject: (content, sizeBytes) => {
        expect(content).toBe(large);
        objects.push(sizeBytes);
      },
    });
    expect(objects).toEqual([3000n]);
    // Five headers, the small file in a block, the padding of the large one, and the end.
    expect(inlineBytes).toBeGreaterThanOrEqual(5 * 512 + 512 + 72 + 1024);
    expect(inlineBytes % 512).toBe(72);
  });

  test("refuses contents that are not those of the tar", () => {
    const refused = (named: readonly NamedContent[], changed = lines) =>
      refusal(() => readTarSplitEntries(split(changed), named));
    const bad = (state: string) => `bad-format: Cannot use the layer's tar-split: ${state}`;
    expect(refused(contents.slice(1))).toBe(bad("it tells of other files than the table of contents"));
    expect(refused([...contents, { sizeBytes: 0, content: nothing }])).toBe(
      bad("it tells of fewer files than the table of contents"),
    );
    const grown = lines.map((line) => (line.size === 3000 ? { ...line, size: 4000 } : line));
    const other = contents.map((named) => (named.sizeBytes === 3000 ? { ...named, sizeBytes: 4000 } : named));
    expect(refused(other, grown)).toBe(bad("a file has another size"));
  });

  test("refuses a tar-split that is no tar without its contents", () => {
    const bad = "bad-format: Cannot use the layer's tar-split: ";
    const cut = lines.map((line, at) =>
      at === 0 ? { type: 2, payload: Buffer.alloc(100, 1).toString("base64") } : line,
    );
    expect(refusal(() => readTarSplitEntries(split(cut), contents))).toBe(`${bad}a header is cut in two`);
    // The content of the large file is in a segment.
    const at = lines.findIndex(({ size }) => size === 3000);
    expect(refusal(() => readTarSplitEntries(split(lines.slice(0, at)), contents.slice(0, 3)))).toMatch(
      /^bad-format: Cannot read tar: it is cut off after \d+ bytes$/,
    );
    const payload = Buffer.alloc(3000).toString("base64");
    const inside = [...lines.slice(0, at), { type: 2, payload }, ...lines.slice(at + 1)];
    expect(refusal(() => readTarSplitEntries(split(inside), contents))).toBe(
      `${bad}a file's content is among what is no content`,
    );
  });
});
