import fc from "fast-check";
import { expect, test } from "vitest";
import { type ByteString, toBytes } from "../../src/core/bytes/byte-string.ts";
import { readErofsOnDemand } from "../../src/core/erofs/demanded-tree.ts";
import { readErofs, readErofsImage } from "../../src/core/erofs/reader.ts";
import { rewriteErofs } from "../../src/core/erofs/rewrite.ts";
import { writeErofs } from "../../src/core/erofs/writer.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parseDump } from "../../src/core/tree/dump-parser.ts";
import { writeDump } from "../../src/core/tree/dump-writer.ts";
import type { Directory, FileTree, Inode, Leaf } from "../../src/core/tree/inode.ts";
import { walkTree } from "../../src/core/tree/walk-tree.ts";
import { arbitraryTree } from "../builders/arbitrary-tree.ts";

const sizes = [
  { algorithm: "sha256", digits: 64 },
  { algorithm: "sha512", digits: 128 },
] as const;

test.each(sizes)("law: parseDump(writeDump(tree)) has the same dump as tree ($algorithm)", ({ algorithm, digits }) => {
  fc.assert(
    fc.property(arbitraryTree(digits), (tree) => {
      const dump = writeDump(tree);
      expect(writeDump(parseDump(toBytes(dump), { algorithm }))).toBe(dump);
    }),
    { numRuns: 30 },
  );
});

test.each(sizes)(
  "law: parseDump(writeDump(tree)) gives the same image as tree ($algorithm)",
  ({ algorithm, digits }) => {
    fc.assert(
      fc.property(arbitraryTree(digits), (tree) => {
        const parsed = parseDump(toBytes(writeDump(tree)), { algorithm });
        expect(isSame(writeErofs(parsed, { version: 1 }), writeErofs(tree, { version: 1 }))).toBe(true);
      }),
      { numRuns: 30 },
    );
  },
);

/** What `toEqual` finds out in a hundred times the time. */
function isSame(some: Uint8Array, others: Uint8Array): boolean {
  return Buffer.compare(some, others) === 0;
}

/** Which of its names is a leaf's own shows in an image only as far as it moves inodes: here it is the first. */
function withFirstHomes({ root }: FileTree): FileTree {
  const seen = new Set<Inode>();
  const copy = (directory: Directory): Directory => {
    const entries = new Map<ByteString, Inode>();
    const links = new Set<ByteString>();
    for (const name of [...directory.entries.keys()].sort()) {
      const inode = directory.entries.get(name);
      if (inode === undefined) continue;
      entries.set(name, inode.kind === "directory" ? copy(inode) : inode);
      if (seen.has(inode)) links.add(name);
      seen.add(inode);
    }
    return { ...directory, entries, links };
  };
  return { root: copy(root) };
}

test.each(sizes)("law: readErofs(writeErofs(tree)) has the same dump as tree ($algorithm)", ({ digits }) => {
  fc.assert(
    fc.property(arbitraryTree(digits), fc.constantFrom(0 as const, 1 as const), (tree, version) => {
      const again = readErofs(writeErofs(tree, { version }));
      expect(writeDump(withFirstHomes(again))).toBe(writeDump(withFirstHomes(tree)));
    }),
    { numRuns: 30 },
  );
});

test.each(sizes)("law: writeErofs(readErofs(image)) is image ($algorithm)", ({ digits }) => {
  fc.assert(
    fc.property(arbitraryTree(digits), fc.constantFrom(0 as const, 1 as const), (tree, version) => {
      const image = writeErofs(tree, { version });
      expect(isSame(writeErofs(readErofs(image), { version }), image)).toBe(true);
    }),
    { numRuns: 30 },
  );
});

/** Made-up leaves say anything of how many names they have. */
function withTrueLinkCounts({ root }: FileTree): FileTree {
  const leaves = new Map<Leaf, Leaf>();
  const copy = (directory: Directory): Directory => ({
    ...directory,
    entries: new Map([...directory.entries].map(([name, inode]) => [name, copyInode(inode)])),
  });
  const copyInode = (inode: Inode): Inode => {
    if (inode.kind === "directory") return copy(inode);
    const known = leaves.get(inode) ?? { ...inode, nlink: 0 };
    leaves.set(inode, Object.assign(known, { nlink: known.nlink + 1 }));
    return known;
  };
  return { root: copy(root) };
}

test.each(sizes)(
  "law: readErofsOnDemand(image) has the dump and the image of readErofs(image) ($algorithm)",
  ({ digits }) => {
    fc.assert(
      fc.property(arbitraryTree(digits), fc.constantFrom(0 as const, 1 as const), (tree, version) => {
        const image = writeErofs(withTrueLinkCounts(tree), { version });
        expect(writeDump(readErofsOnDemand(image))).toBe(writeDump(readErofs(image)));
        expect(isSame(writeErofs(readErofsOnDemand(image), { version }), image)).toBe(true);
      }),
      { numRuns: 30 },
    );
  },
);

test("law: rewriteErofs(image of before) is writeErofs(after), whatever directories say of themselves", () => {
  const change = fc.record({
    permissions: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.constantFrom(0, 70_000),
    gid: fc.constantFrom(0, 1),
    mtimeSeconds: fc.constantFrom(1_700_000_000n, 1_700_000_001n, -(2n ** 63n)),
    mtimeNanoseconds: fc.constantFrom(0, 1),
  });
  const version = fc.constantFrom(0 as const, 1 as const);
  let reused = 0;
  fc.assert(
    fc.property(
      arbitraryTree(128),
      fc.array(fc.option(change), { minLength: 1, maxLength: 5 }),
      version,
      (...given) => {
        const [before, changes, version] = given;
        let directories = 0;
        const changed = (directory: Directory): Directory => {
          const stat = changes[directories++ % changes.length] ?? directory.stat;
          const entries = Array.from(directory.entries, ([name, inode]): [ByteString, Inode] => [
            name,
            inode.kind === "directory" ? changed(inode) : inode,
          ]);
          return { ...directory, stat, entries: new Map(entries) };
        };
        const after = { root: changed(before.root) };
        const image = writeErofs(before, { version });
        const rewritten = rewriteErofs(image, { before, after }, { version });
        expect(isSame(rewritten, writeErofs(after, { version }))).toBe(true);
        if (rewritten === image) reused++;
      },
    ),
    { numRuns: 60 },
  );
  expect(reused).toBeGreaterThan(0);
});

test("law: an image with any bytes changed is read or refused, all at once and on demand, and nothing fails otherwise", () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(
      arbitraryTree(64),
      changes,
      fc.constantFrom("tree" as const, "composefs-info" as const),
      (tree, list, view) => {
        const image = writeErofs(tree, { version: 1 });
        // What is behind the header is small and dense, and hit rarely by chance.
        for (const [at, value] of list) image[at % 3 === 0 ? at % image.length : 1024 + (at % 2048)] = value;
        for (const read of [() => readErofsImage(image, { view }).tree, () => readErofsOnDemand(image)]) {
          try {
            expect([...walkTree(read())].length).toBeGreaterThan(0);
          } catch (error) {
            expect(error).toBeInstanceOf(OsdeployError);
          }
        }
      },
    ),
    { numRuns: 150 },
  );
});
