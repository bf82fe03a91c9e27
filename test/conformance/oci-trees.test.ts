import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import type { VerityAlgorithm } from "../../src/core/digest/object-id.ts";
import { writeErofs } from "../../src/core/erofs/writer.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { readLayerEntries } from "../../src/core/splitstream/layer-entries.ts";
import { readSplitstream } from "../../src/core/splitstream/splitstream-reader.ts";
import { parseDump } from "../../src/core/tree/dump-parser.ts";
import type { FileTree } from "../../src/core/tree/inode.ts";
import { mergeLayers } from "../../src/core/tree/merge-layers.ts";
import { toBootTree, toRawTree } from "../../src/core/tree/root-tree.ts";
import { fileReader, type Objects, rebuildFile, scanLayer, writeLayerStream } from "../builders/layers.ts";
import { readLayerTars, readLayoutArchive } from "../builders/oci-cases.ts";
import { showTree } from "../builders/tree-text.ts";

interface Ids {
  readonly sha256: string;
  readonly sha512: string;
}

interface Case {
  readonly description: string;
  readonly expect: "same" | "refuse" | "accept" | "either";
  readonly slow?: boolean;
  readonly manifest_digest: string;
  readonly reference: { readonly raw?: Ids; readonly boot?: Ids | { readonly error: string } };
  readonly if_accepted?: { readonly raw?: Ids; readonly boot?: Ids };
}

const vectors = new URL("../vectors/oci/", import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL("expected.json", vectors), "utf8")) as {
  readonly cases: Readonly<Record<string, Case>>;
};

/** Both answers are defensible there, and this project refuses; the reasons are with the code. */
const refusedByChoice: Readonly<Record<string, string>> = {
  "b11-link-with-size": "a hard link with a size of 10",
  "b15-link-through-symlink": '"bin" on the way is a symlink',
  "e09-run-not-dir": "its /run is a symlink",
};

/** What the refusal of each case has to say. */
const reasons: Readonly<Record<string, string>> = {
  ...refusedByChoice,
  "a21-symlink-escape": '"esc" on the way is a symlink',
  "a22-through-file": '"f" on the way is a regular file',
  "a23-no-layers": "it has no /usr",
  "b07-link-to-dir": 'target "etc/d" is a directory',
  "b16-link-empty-target": "it has no name",
  "c19-sparse-gnu": "sparse",
  "c20-sparse-pax-10": "sparse",
  "c21-sparse-pax-01": "sparse",
  "c32-pax-orphan": "an extension header has no entry",
  "c33-type-D": 'its type "D" is unknown',
  "c33-type-M": 'its type "M" is unknown',
  "c33-type-N": 'its type "N" is unknown',
  "c33-type-V": 'its type "V" is unknown',
  "c33-type-Z": 'its type "Z" is unknown',
  "c34-symlink-empty": "a target of 0 bytes",
  "c35-symlink-size": "a symlink with a size of 5",
  "c36-dir-size": "a directory with a size of 512",
  "c41-huge-size": "its size 9223372036854775807 is out of range",
  "c46-stray-zero-block": "a zero block stands between its entries",
  "c48-cut-in-data": "cut off after 7716 bytes",
  "c50-cut-in-header": "cut off after 5956 bytes",
  "c55-device-huge": "its device major 4096 is out of range",
  "c56-v7-longlink-letter": 'its type "x" is unknown',
  "c58-mtime-over-63-bits": "mtime 9223372036854775808 does not fit",
  "d04-name-256": "more than 255 bytes",
  "d11-dotdot-inside": 'its path holds ".."',
  "d12-dotdot-start": 'its path holds ".."',
  "d13-dotdot-dir-end": 'its path holds ".."',
  "d15-nul-in-pax-path": "NUL",
  "d18-root-file": "the root can only be a directory",
  "e01-no-usr": "it has no /usr",
  "e02-usr-symlink": "its /usr is a symlink",
  "e03-usr-file": "its /usr is a regular file",
  "f07-cap-70000": "attribute security.capability has 70000 bytes",
};

/** Groups h and i are about documents and blobs, and judged where images are pulled. Slow cases are not kept here. */
const judged = Object.entries(cases).filter(([name, { slow }]) => /^[a-g]/.test(name) && slow !== true);
const isRefused = ([name, { expect }]: [string, Case]) => expect === "refuse" || name in refusedByChoice;
const refused = judged.filter(isRefused);
const accepted = judged
  .filter((entry) => !isRefused(entry))
  .map(([name, kase]) => ({ name, kase, description: kase.description, ids: idsOf(kase) }));

/** The ids that the images have to have; none where nobody agreed on one, or where there can be no boot image. */
function idsOf({ reference, if_accepted }: Case): { readonly raw: Ids | undefined; readonly boot: Ids | undefined } {
  const boot = if_accepted?.boot ?? reference.boot;
  return { raw: if_accepted?.raw ?? reference.raw, boot: boot !== undefined && "sha256" in boot ? boot : undefined };
}

interface Trees {
  readonly raw: FileTree;
  /** Made only when asked for: some images have no boot tree. */
  boot(): FileTree;
}

async function readTrees(name: string, { manifest_digest }: Case, algorithm: VerityAlgorithm): Promise<Trees> {
  const layout = await readLayoutArchive(new URL(`cases/${name}.tar.zst`, vectors));
  const objects: Objects = new Map();
  const tars = await readLayerTars(layout, manifest_digest);
  const layers = tars.map((tar) => scanLayer(tar, { algorithm, objects, chunkBytes: 10_000 }).entries);
  const raw = toRawTree(mergeLayers(layers));
  return { raw, boot: () => toBootTree(raw, fileReader(objects)) };
}

function imageId(tree: FileTree, algorithm: VerityAlgorithm): string {
  return verityDigest(algorithm, writeErofs(tree, { version: 1 }));
}

/** The tree that the other tool has, for a readable difference; undefined where only its id is known. */
function dumpOf(name: string): string | undefined {
  const file = new URL(`dumps/${name}.dump.gz`, vectors);
  return existsSync(file) ? showTree(parseDump(gunzipSync(readFileSync(file)))) : undefined;
}

test.each(accepted.filter(({ ids }) => ids.raw !== undefined))("$name, raw tree: $description", async (vector) => {
  const { name, kase, ids } = vector;
  const trees = await readTrees(name, kase, "sha256");
  expect(showTree(trees.raw)).toBe(dumpOf(`${name}.raw`));
  expect(imageId(trees.raw, "sha256")).toBe(ids.raw?.sha256);
  expect(imageId((await readTrees(name, kase, "sha512")).raw, "sha512")).toBe(ids.raw?.sha512);
});

test.each(accepted.filter(({ ids }) => ids.boot !== undefined))("$name, boot tree: $description", async (vector) => {
  const { name, kase, ids } = vector;
  const tree = (await readTrees(name, kase, "sha256")).boot();
  expect(showTree(tree)).toBe(dumpOf(`${name}.boot`) ?? showTree(tree));
  expect(imageId(tree, "sha256")).toBe(ids.boot?.sha256);
  expect(imageId((await readTrees(name, kase, "sha512")).boot(), "sha512")).toBe(ids.boot?.sha512);
});

test.each(accepted.filter(({ ids }) => ids.raw !== undefined && ids.boot === undefined))(
  "$name, no boot tree: $description",
  async ({ name, kase }) => {
    const trees = await readTrees(name, kase, "sha256");
    expect(trees.boot).toThrow(expect.objectContaining({ code: "not-bootable" }));
  },
);

test("c08-mtime-negative-pax: a time before 1970 counts its nanoseconds forward", async () => {
  const kase = cases["c08-mtime-negative-pax"];
  const trees = kase === undefined ? undefined : await readTrees("c08-mtime-negative-pax", kase, "sha256");
  expect(trees && showTree(trees.raw)).toContain('"/etc/a" regular 644 0:0 -6.750000000 nlink 1 "a"');
});

test("splitstreams of all accepted layers give the same entries, and the tars again", async () => {
  for (const { name, kase } of accepted) {
    const layout = await readLayoutArchive(new URL(`cases/${name}.tar.zst`, vectors));
    for (const tar of await readLayerTars(layout, kase.manifest_digest)) {
      const objects: Objects = new Map();
      const scanned = scanLayer(tar, { objects, chunkBytes: 777 });
      const stream = readSplitstream(writeLayerStream(scanned), { decompress: (bytes) => bytes });
      expect(readLayerEntries(stream)).toEqual(scanned.entries);
      expect(rebuildFile(stream, objects)).toEqual(new Uint8Array(tar));
    }
  }
});

test.each(refused)("%s: refused with its reason", async (name, kase) => {
  const reading = readTrees(name, kase, "sha256");
  await expect(reading).rejects.toBeInstanceOf(OsdeployError);
  await expect(reading).rejects.toThrow(reasons[name]);
  expect(reasons[name]).toBeDefined();
});

test("conformance: every judged case is in a test", () => {
  const without = accepted.filter(({ ids }) => ids.raw === undefined).map(({ name }) => name);
  expect(without).toEqual(["c08-mtime-negative-pax"]);
  expect(Object.keys(reasons).sort()).toEqual(refused.map(([name]) => name).sort());
});
