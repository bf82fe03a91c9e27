import fc from "fast-check";
import { pack } from "tar-stream";
import { expect, test } from "vitest";
import type { ByteString } from "../../src/core/bytes/byte-string.ts";
import { readLayerEntries } from "../../src/core/splitstream/layer-entries.ts";
import { readSplitstream } from "../../src/core/splitstream/splitstream-reader.ts";
import type { LayerEntry } from "../../src/core/tree/layer.ts";
import { mergeLayers } from "../../src/core/tree/merge-layers.ts";
import { directoryEntry, fileEntry, hardLinkEntry, symlinkEntry } from "../builders/layer-entries.ts";
import { concat, joinParts, rebuildFile, scanLayer, writeLayerStream } from "../builders/layers.ts";
import { showTree } from "../builders/tree-text.ts";

/** fast-check prints the seed of a failing run. */
const runs = { numRuns: 300 };

const name = fc.constantFrom("a", "b", "c", "\xff");
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join("/"));

/** Entries that do not depend on what is there: hard links, and paths through files, can be refused. */
const entry: fc.Arbitrary<LayerEntry> = fc.oneof(
  fc.tuple(path, fc.nat(0o777)).map(([at, permissions]) => directoryEntry(at, { permissions })),
  fc.tuple(path, fc.string({ maxLength: 3 })).map(([at, text]) => fileEntry(`${at}/file`, text)),
  path.map((at) => symlinkEntry(`${at}/link`, "target")),
  fc.tuple(path, name).map(([at, gone]) => fileEntry(`${at}/.wh.${gone}`, "")),
  path.map((at) => fileEntry(`${at}/.wh..wh..opq`, "")),
  path.map((at) => fileEntry(`${at}/.wh.file`, "")),
);
const layer = fc.array(entry, { maxLength: 12 });

const merged = (...layers: readonly (readonly LayerEntry[])[]) => showTree(mergeLayers(layers));

/** The tree again as a layer: parents first, further names as hard links. */
function layerOf(layers: readonly (readonly LayerEntry[])[]): readonly LayerEntry[] {
  const { root } = mergeLayers(layers);
  const entries: LayerEntry[] = [];
  const visit = (directory: typeof root, at: string) => {
    entries.push(directoryEntry(at, directory.stat));
    for (const [child, inode] of directory.entries) {
      const childPath = at === "" ? child : `${at}/${child}`;
      if (inode.kind === "directory") visit(inode, childPath);
      else if (inode.kind === "symlink") entries.push(symlinkEntry(childPath, inode.target));
      else if (inode.kind === "regular" && inode.content.kind === "inline")
        entries.push(fileEntry(childPath, inode.content.bytes));
    }
  };
  visit(root, "");
  return entries;
}

test("law: merging layers one by one is merging them at once", () => {
  fc.assert(
    fc.property(layer, layer, layer, (a, b, c) => {
      expect(merged(layerOf([layerOf([a, b]), c]))).toBe(merged(a, b, c));
    }),
    runs,
  );
});

test("law: where one layer ends and the next begins does not matter", () => {
  fc.assert(
    fc.property(layer, layer, (a, b) => {
      expect(merged([...a, ...b])).toBe(merged(a, b));
    }),
    runs,
  );
});

test("law: an empty layer changes nothing, wherever it lies", () => {
  fc.assert(
    fc.property(layer, layer, (a, b) => {
      expect(merged([], a, [], b, [])).toBe(merged(a, b));
    }),
    runs,
  );
});

test("law: an opaque root erases all below", () => {
  fc.assert(
    fc.property(layer, layer, (a, b) => {
      expect(merged(a, [fileEntry(".wh..wh..opq", ""), ...b])).toBe(merged(b));
    }),
    runs,
  );
});

test("law: a hard link and its target are one inode until one of them is replaced", () => {
  fc.assert(
    fc.property(layer, path, path, (a, from, to) => {
      fc.pre(from !== to);
      const tree = mergeLayers([a, [fileEntry(`${from}/file`, "x"), hardLinkEntry(`${to}/other`, `${from}/file`)]]);
      const find = (at: string) =>
        at
          .split("/")
          .reduce<unknown>((inode, part) => (inode as typeof tree.root).entries.get(part as ByteString), tree.root);
      expect(find(`${to}/other`)).toBe(find(`${from}/file`));
      expect(find(`${to}/other`)).toMatchObject({ nlink: 2 });
    }),
    runs,
  );
});

interface PlainFile {
  readonly name: string;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly mtimeSeconds: number;
}

/** tar-stream takes mode 0 for none, cuts owners to 18 bits, and writes times from 2038 on as negative numbers. */
const plainFile: fc.Arbitrary<PlainFile> = fc.record({
  name: fc.stringMatching(/^[a-zé][a-z0-9é]{0,60}(\/[a-z0-9]{1,70}){0,3}$/),
  size: fc.oneof(fc.nat(3000), fc.constantFrom(0, 64, 65, 511, 512, 513, 20_000)),
  mode: fc.integer({ min: 1, max: 0o7777 }),
  uid: fc.nat(0o777777),
  mtimeSeconds: fc.nat(2 ** 31 - 1),
});

/** What another implementation packs. */
async function packed(files: readonly PlainFile[]): Promise<Uint8Array> {
  const archive = pack();
  for (const { name: fileName, size, mode, uid, mtimeSeconds } of files) {
    archive.entry(
      { name: fileName, mode, uid, gid: 0, mtime: new Date(mtimeSeconds * 1000) },
      Buffer.alloc(size, fileName),
    );
  }
  archive.finalize();
  const pieces: Uint8Array[] = [];
  for await (const piece of archive) pieces.push(piece as Uint8Array);
  return concat(pieces);
}

const layerTar = fc.array(plainFile, { maxLength: 6 });

test("law: reads what tar-stream packs, in chunks of any size", async () => {
  await fc.assert(
    fc.asyncProperty(layerTar, fc.integer({ min: 1, max: 3000 }), async (files, chunkBytes) => {
      const tar = await packed(files);
      const { entries, parts } = scanLayer(tar, { chunkBytes, maxWholeFileBytes: 10_000 });
      expect(entries.map((found) => summary(found))).toEqual(
        files.map(({ name: fileName, ...rest }) => ({ ...rest, path: Buffer.from(fileName).toString("latin1") })),
      );
      expect(joinParts(parts)).toEqual(tar);
    }),
    { numRuns: 60 },
  );
});

function summary(found: LayerEntry): unknown {
  if (found.kind !== "regular") return found.kind;
  const { stat, content } = found;
  const size = content.kind === "inline" ? content.bytes.length : Number(content.sizeBytes);
  return { path: found.path, size, mode: stat.permissions, uid: stat.uid, mtimeSeconds: Number(stat.mtimeSeconds) };
}

test("law: a splitstream gives the entries again, and with its objects the tar, bit for bit", async () => {
  await fc.assert(
    fc.asyncProperty(layerTar, async (files) => {
      const tar = await packed(files);
      const objects = new Map<string, Uint8Array>();
      const scanned = scanLayer(tar, { objects });
      const stream = readSplitstream(writeLayerStream(scanned), { decompress: (bytes) => bytes });
      expect(readLayerEntries(stream)).toEqual(scanned.entries);
      expect(stream.sizeBytes).toBe(BigInt(tar.length));
      expect(rebuildFile(stream, objects)).toEqual(tar);
    }),
    { numRuns: 60 },
  );
});

test("law: a damaged tar is refused or read, never anything else", async () => {
  const tar = await packed([
    { name: "a", size: 100, mode: 0o644, uid: 0, mtimeSeconds: 0 },
    { name: `é${"b/c".repeat(40)}`, size: 10, mode: 0o644, uid: 3000, mtimeSeconds: 2 ** 30 },
  ]);
  fc.assert(
    fc.property(fc.nat(tar.length - 1), fc.nat(255), (at, byte) => {
      const damaged = tar.slice();
      damaged[at] = byte;
      try {
        scanLayer(damaged, { chunkBytes: 700 });
      } catch (error) {
        expect(error).toMatchObject({
          name: "OsdeployError",
          code: expect.stringMatching("bad-format|unsupported|limit-exceeded"),
        });
      }
    }),
    { numRuns: 2000 },
  );
});
