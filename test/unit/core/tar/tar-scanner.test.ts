import { expect, test } from "vitest";
import { defaultTarLimits } from "../../../../src/core/tar/tar-limits.ts";
import { TarScanner, type TarSink } from "../../../../src/core/tar/tar-scanner.ts";
import type { LayerEntry } from "../../../../src/core/tree/layer.ts";
import { concat, feed, joinParts, scanLayer } from "../../../builders/layers.ts";
import { entry, gnu, header, latin1, pax, paxRecord, tarOf, ustar, v7 } from "../../../builders/tar-blocks.ts";

const paths = (tar: Uint8Array) => scanLayer(tar).entries.map(({ path }) => path);
const rawLong = (type: "L" | "K", bytes: string) => entry({ name: "././@LongLink", type, magic: gnu }, bytes);
const gnuLong = (type: "L" | "K", text: string) => rawLong(type, `${text}\0`);

const mixed = tarOf(
  pax({ comment: "all" }, "g"),
  entry({ name: "usr/", type: "5" }),
  entry({ name: "usr/empty" }),
  entry({ name: "usr/64" }, "x".repeat(64)),
  entry({ name: "usr/65" }, "y".repeat(65)),
  pax({ path: "usr/pax", "SCHILY.xattr.user.a": "\xff\n" }),
  entry({ name: "short" }, "z".repeat(1024)),
  entry({ name: "L", type: "L", magic: gnu }, "usr/long-name\0"),
  entry({ name: "K", type: "K", magic: gnu }, "long-target"),
  entry({ name: "short", type: "2", magic: gnu, linkName: "t" }),
  entry({ name: "usr/large" }, "w".repeat(5000)),
);

test("TarScanner: entries come in order, small files inline, others as objects", () => {
  const { entries } = scanLayer(mixed);
  expect(entries.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
    "directory usr",
    "regular usr/empty",
    "regular usr/64",
    "regular usr/65",
    "regular usr/pax",
    "symlink usr/long-name",
    "regular usr/large",
  ]);
  expect(entries[1]).toMatchObject({ content: { kind: "inline", bytes: "" } });
  expect(entries[2]).toMatchObject({ content: { kind: "inline", bytes: "x".repeat(64) } });
  expect(entries[3]).toMatchObject({ content: { kind: "external", sizeBytes: 65n } });
  expect(entries[4]).toMatchObject({ xattrs: new Map([["user.a", "\xff\n"]]), content: { sizeBytes: 1024n } });
  expect(entries[5]).toMatchObject({ target: "long-target", xattrs: new Map() });
});

test.each([1, 7, 511, 512, 513, 100_000])("TarScanner: reads the same in chunks of %d bytes", (chunkBytes) => {
  const whole = scanLayer(mixed);
  const chunked = scanLayer(mixed, { chunkBytes, maxWholeFileBytes: 1000 });
  expect(chunked.entries).toEqual(whole.entries);
  expect(joinParts(chunked.parts)).toEqual(mixed);
  const objects = chunked.parts.filter(({ kind }) => kind === "object").map(({ bytes }) => bytes.length);
  expect(objects).toEqual([65, 1024, 5000]);
});

test("TarScanner: an empty window changes nothing, wherever it comes", () => {
  const sizes: number[] = [];
  const content = { kind: "external", sizeBytes: 3000n, backingPath: undefined, digest: undefined } as const;
  const scanner = new TarScanner(
    {
      structure: () => {},
      file: () => content,
      beginFile: () => {},
      filePiece: (bytes) => sizes.push(bytes.length),
      endFile: () => content,
      entry: () => {},
    },
    { maxWholeFileBytes: 1000 },
  );
  const tar = tarOf(entry({}, "x".repeat(3000)));
  let start = 0;
  for (let end = 256; end <= tar.length; end += 256) {
    expect(scanner.scan(tar, start, start)).toBe(0);
    start += scanner.scan(tar, start, end);
  }
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(3000);
  expect(sizes).not.toContain(0);
  scanner.finish();
});

test("TarScanner: structure comes in one piece up to the next object", () => {
  const { parts } = scanLayer(mixed);
  expect(parts.map(({ kind }) => kind)).toEqual([
    "structure",
    "object",
    "structure",
    "object",
    "structure",
    "object",
    "structure",
  ]);
});

test("TarScanner: an extension holds for one entry only", () => {
  const tar = tarOf(pax({ path: "a", uid: "5" }), entry({ name: "x" }), entry({ name: "b" }));
  expect(scanLayer(tar).entries).toMatchObject([
    { path: "a", stat: { uid: 5 } },
    { path: "b", stat: { uid: 0 } },
  ]);
});

test("TarScanner: global PAX headers say nothing, not even of sparse files", () => {
  expect(paths(tarOf(pax({ path: "evil", "GNU.sparse.major": "1" }, "g"), entry({ name: "a" })))).toEqual(["a"]);
});

// Go, and so podman, reads on as if nothing came before it.
test.each([
  ["a PAX header", pax({ size: "0" })],
  ["a long name", gnuLong("L", "a")],
])("TarScanner: refuses a global header between %s and its entry", (_, extension) => {
  const tar = tarOf(extension, pax({ comment: "c" }, "g"), entry({ name: "x" }, entry({ name: "hidden" })));
  expect(() => scanLayer(tar)).toThrow(
    expect.objectContaining({
      code: "bad-format",
      message: "Cannot read tar: a global header stands between an entry and its extensions",
    }),
  );
});

test("TarScanner: a whiteout of a long name is longer than a name can be", () => {
  const tar = tarOf(pax({ path: `usr/.wh.${"n".repeat(255)}` }), entry({ name: "usr/.wh.n" }));
  expect(paths(tar)).toEqual([`usr/.wh.${"n".repeat(255)}`]);
});

test("TarScanner: extensions of several kinds before one entry add up", () => {
  const tar = tarOf(gnuLong("L", "long"), pax({ uid: "2" }), entry({ name: "x" }));
  expect(scanLayer(tar).entries).toMatchObject([{ path: "long", stat: { uid: 2 } }]);
});

// GNU tar and Go take the last, Python the first, libarchive both.
test.each([
  ["PAX headers", pax({ path: "a", uid: "1" }), pax({ uid: "2" })],
  ["long names", gnuLong("L", "a"), gnuLong("L", "b")],
  ["long links", gnuLong("K", "a"), gnuLong("K", "b")],
])("TarScanner: refuses two %s before one entry", (_, first, second) => {
  expect(() => scanLayer(tarOf(first, second, entry({ name: "x" })))).toThrow(
    expect.objectContaining({
      code: "bad-format",
      message: expect.stringContaining("an entry has two extension headers of one kind"),
    }),
  );
});

test("TarScanner: long names end at their NULs, and nothing else may follow these", () => {
  const names = ["long", "long\0", "long\0\0\0"].map((name) => rawLong("L", name));
  const tar = tarOf(...names.flatMap((name) => [name, entry({ name: "x" })]));
  expect(scanLayer(tar).entries.map(({ path }) => path)).toEqual(["long", "long", "long"]);
  for (const type of ["L", "K"] as const) {
    for (const name of ["long\0er\0", "long\0\0r"]) {
      const odd = tarOf(rawLong(type, name), entry({ name: "x" }));
      expect(() => scanLayer(odd)).toThrow(/^Cannot read tar entry "long": its long .* holds a NUL byte$/);
    }
  }
});

test("TarScanner: a PAX size wins over the header's, larger or smaller", () => {
  const larger = concat([pax({ size: "700" }), header({ name: "a" }), latin1("a".repeat(1024))]);
  const smaller = concat([pax({ size: "100" }), header({ name: "b", size: 5000 }), latin1("b".repeat(512))]);
  expect(scanLayer(tarOf(larger, smaller)).entries).toMatchObject([
    { path: "a", content: { sizeBytes: 700n } },
    { path: "b", content: { sizeBytes: 100n } },
  ]);
});

test("TarScanner: what follows the end is structure", () => {
  const tar = concat([tarOf(entry({ name: "a" })), entry({ name: "evil" }, "text"), latin1("garbage")]);
  const scanned = scanLayer(tar, { chunkBytes: 100 });
  expect(scanned.entries.map(({ path }) => path)).toEqual(["a"]);
  expect(joinParts(scanned.parts)).toEqual(tar);
});

test("TarScanner: a lone zero block may be the end", () => {
  expect(paths(concat([entry({ name: "a" }), new Uint8Array(512)]))).toEqual(["a"]);
});

test("TarScanner: a tar may end with an entry, or hold nothing", () => {
  expect(paths(concat([entry({ name: "a" }, "text"), entry({ name: "b" })]))).toEqual(["a", "b"]);
  expect(paths(new Uint8Array(0))).toEqual([]);
});

test.each([
  ["half a zero block more", concat([entry({ name: "a" }), new Uint8Array(700)]), "cut off after 1212 bytes"],
  ["one byte of a header", entry({ name: "a" }).subarray(0, 1), "cut off after 1 bytes"],
  ["half a header", entry({ name: "a" }).subarray(0, 300), "cut off after 300 bytes"],
  ["half a file", entry({ name: "a" }, "x".repeat(600)).subarray(0, 800), "cut off after 800 bytes"],
  ["half an inline file", entry({ name: "a" }, "x".repeat(60)).subarray(0, 530), "cut off after 530 bytes"],
  ["half the padding", entry({ name: "a" }, "x").subarray(0, 600), "cut off after 600 bytes"],
  ["half an extension", pax({ path: "a" }).subarray(0, 515), "cut off after 515 bytes"],
  ["a file in pieces", entry({ name: "a" }, "x".repeat(3000)).subarray(0, 2000), "cut off after 2000 bytes"],
])("TarScanner: refuses a tar that ends with %s", (_, tar, message) => {
  expect(() => scanLayer(tar, { maxWholeFileBytes: 1000 })).toThrow(
    expect.objectContaining({ code: "bad-format", message: expect.stringContaining(message) }),
  );
});

test("TarScanner: refuses a zero block between entries", () => {
  const tar = tarOf(entry({ name: "a" }), new Uint8Array(512), entry({ name: "b" }));
  expect(() => scanLayer(tar)).toThrow("a zero block stands between its entries");
});

test("TarScanner: refuses an extension without entry", () => {
  expect(() => scanLayer(tarOf(pax({ path: "a" })))).toThrow("an extension header has no entry");
  expect(() => scanLayer(pax({ path: "a" }))).toThrow("an extension header has no entry");
});

test("TarScanner: without a magic there are no extensions", () => {
  const tar = tarOf(entry({ name: "odd", type: "x", magic: v7 }, paxRecord("path", "a")));
  expect(() => scanLayer(tar)).toThrow('its type "x" is unknown');
});

test("TarScanner: a claimed size takes no memory", () => {
  const tar = header({ name: "a", size: "\x80\0\0\0\0\0\0\xff\xff\xff\xff\xff", magic: ustar });
  expect(() => scanLayer(tar)).toThrow("cut off after 512 bytes");
});

test.each([
  ["entries", { entries: 1 }, tarOf(entry({ name: "a" }), entry({ name: "b" })), "more than 1 entries"],
  [
    "extensions",
    { extensionBytes: 20 },
    tarOf(pax({ path: "n".repeat(30) }), entry({})),
    "an extension header has 39 bytes",
  ],
  ["structure", { structureBytes: 2047 }, tarOf(entry({}), entry({})), "more than 2047 bytes that are no content"],
])("TarScanner: limits %s", (_, limit, tar, message) => {
  expect(() => scanLayer(tar, { limits: { ...defaultTarLimits, ...limit } })).toThrow(
    expect.objectContaining({ code: "limit-exceeded", message: expect.stringContaining(message) }),
  );
});

test("TarScanner: takes as many entries, and as long extensions and structure, as the limits say", () => {
  const tar = tarOf(pax({ path: "n".repeat(30) }), entry({}), entry({}));
  const limits = { ...defaultTarLimits, entries: 2, extensionBytes: 39, structureBytes: tar.length };
  expect(scanLayer(tar, { limits }).entries).toHaveLength(2);
});

test("TarScanner: content can come from elsewhere", () => {
  const found: LayerEntry[] = [];
  const never = () => {
    throw new Error("no content is in the window");
  };
  const sink: TarSink = {
    structure: () => {},
    file: never,
    beginFile: never,
    filePiece: never,
    endFile: never,
    entry: (layerEntry) => found.push(layerEntry),
  };
  const scanner = new TarScanner(sink);
  expect(scanner.awaitedFileBytes).toBeUndefined();
  scanner.scan(header({ name: "small", size: 64 }));
  expect(scanner.awaitedFileBytes).toBeUndefined();
  scanner.scan(concat([new Uint8Array(64), new Uint8Array(448), header({ name: "a", size: 3_000_000 })]));
  expect(scanner.awaitedFileBytes).toBe(3_000_000);
  const content = { kind: "external", sizeBytes: 3_000_000n, backingPath: undefined, digest: undefined } as const;
  scanner.supplyFile(content);
  feed(scanner, concat([new Uint8Array(512 - (3_000_000 % 512)), new Uint8Array(1024)]), 100);
  expect(found).toMatchObject([{ path: "small" }, { path: "a", content }]);
});

test("TarScanner: content where no file awaits it is a mistake of the caller", () => {
  const content = { kind: "external", sizeBytes: 1n, backingPath: undefined, digest: undefined } as const;
  const scanner = new TarScanner({} as TarSink);
  expect(() => scanner.supplyFile(content)).toThrow("content is supplied only where a file awaits it");
});
