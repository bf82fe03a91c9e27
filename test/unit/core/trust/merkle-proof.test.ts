import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { merkleRoot } from "../../../../src/core/trust/merkle-proof.ts";
import { merkleTree } from "../../../builders/transparency-log.ts";

const hex = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString("hex");

/** The leaves that the logs of Certificate Transparency are tested with, and the roots of the first one, two, three, … */
const leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const roots = [
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const leaf = Buffer.from("entry 2");
/** A tree of this size, and the way of its entry 2, which is `leaf`. */
const treeOf = (treeSize: number) => {
  const entries = Array.from({ length: treeSize }, (_, at) => Buffer.from(`entry ${at}`));
  const { root, path } = merkleTree(entries, 2);
  return { root: hex(root), path: { index: 2, treeSize, hashes: path } };
};

describe("merkleRoot", () => {
  test.each(roots.map((root, at) => [at + 1, root] as const))(
    "each of %d entries leads to the known root",
    (size, root) => {
      const entries = leaves.slice(0, size).map((text) => Buffer.from(text, "hex"));
      for (const [index, entry] of entries.entries()) {
        const hashes = merkleTree(entries, index).path;
        expect(hex(merkleRoot(entry, { index, treeSize: size, hashes }))).toBe(root);
      }
    },
  );

  test("each entry of a tree of any size up to 17 leads to its root, and from another place it does not", () => {
    for (let treeSize = 1; treeSize <= 17; treeSize++) {
      const entries = Array.from({ length: treeSize }, (_, at) => Buffer.from(`entry ${at}`));
      for (const [index, entry] of entries.entries()) {
        const { root, path: hashes } = merkleTree(entries, index);
        expect(hex(merkleRoot(entry, { index, treeSize, hashes }))).toBe(hex(root));
        for (const other of entries.keys()) {
          if (other === index) continue;
          expect(hex(merkleRoot(entry, { index: other, treeSize, hashes }))).not.toBe(hex(root));
        }
      }
    }
  });

  test("an index beyond the tree has no path, also where its bits are those of one in it", () => {
    expect(merkleRoot(leaf, { index: 0, treeSize: 0, hashes: [] })).toBeUndefined();
    expect(merkleRoot(leaf, { index: 1, treeSize: 1, hashes: [] })).toBeUndefined();
    for (const treeSize of [3, 4, 7, 8, 9]) {
      const { path } = treeOf(treeSize);
      for (const index of [treeSize, treeSize + 1, treeSize + 2, 16 + 2, 2 ** 32 + 2]) {
        expect(merkleRoot(leaf, { ...path, index })).toBeUndefined();
      }
    }
  });

  test("more hashes than the tree is deep, or fewer, are no path", () => {
    const more = Buffer.alloc(32);
    for (const treeSize of [3, 4, 7, 8, 9]) {
      const { root, path } = treeOf(treeSize);
      expect(hex(merkleRoot(leaf, path))).toBe(root);
      expect(merkleRoot(leaf, { ...path, hashes: [...path.hashes, more] })).toBeUndefined();
      expect(merkleRoot(leaf, { ...path, hashes: path.hashes.slice(0, -1) })).toBeUndefined();
    }
    expect(merkleRoot(leaf, { index: 0, treeSize: 1, hashes: [more] })).toBeUndefined();
  });

  test("an inner node does not pass for an entry", () => {
    const entries = leaves.slice(0, 4).map((text) => Buffer.from(text, "hex"));
    const [first, second] = entries.map((entry) => createHash("sha256").update(Buffer.of(0)).update(entry).digest());
    const node = Buffer.concat([first ?? leaf, second ?? leaf]);
    const beside = merkleTree(entries, 0).path.slice(1);
    expect(hex(merkleRoot(node, { index: 0, treeSize: 2, hashes: beside }))).not.toBe(roots[3]);
  });

  test("a log may have more entries than 32 bits count", () => {
    const hashes = Array.from({ length: 40 }, (_, at) => Buffer.alloc(32, at));
    const treeSize = 2 ** 40;
    const index = 2 ** 39 + 2 ** 33 + 1;
    let root = createHash("sha256").update(Buffer.of(0)).update(leaf).digest();
    for (const [level, beside] of hashes.entries()) {
      const isRight = Math.floor(index / 2 ** level) % 2 === 1;
      const parts = isRight ? [beside, root] : [root, beside];
      root = createHash("sha256")
        .update(Buffer.concat([Buffer.of(1), ...parts]))
        .digest();
    }
    expect(hex(merkleRoot(leaf, { index, treeSize, hashes }))).toBe(hex(root));
  });
});
