import { expect, test } from "vitest";
import { rewriteErofs } from "../../../../src/core/erofs/rewrite.ts";
import { writeErofs } from "../../../../src/core/erofs/writer.ts";
import type { Directory, Stat } from "../../../../src/core/tree/inode.ts";
import { directory, file, objectFile } from "../../../builders/file-trees.ts";
import { b } from "../../../builders/layers.ts";

const young: Partial<Stat> = { mtimeSeconds: 100n, mtimeNanoseconds: 7 };
const leaf = file("x");
const usr = directory({ deep: directory({ object: objectFile(5000n, "ab".repeat(64)) }, young) }, young);
/** The oldest time of it is that of `leaf` and of `old`, 0. */
const treeWith = (boot: Partial<Stat>, changed: Readonly<Record<string, Directory>> = {}): Directory =>
  directory({ boot: directory({}, { ...young, ...boot }), leaf, old: directory({}), usr, ...changed }, young);

const before = treeWith({});

/** Rewrites the image of `before`, checks that it is right, and says whether the bytes are those that were there. */
function isReused(after: Directory, version: 0 | 1 = 1): boolean {
  const image = writeErofs({ root: before }, { version });
  const rewritten = rewriteErofs(image, { before: { root: before }, after: { root: after } }, { version });
  expect(Buffer.compare(rewritten, writeErofs({ root: after }, { version }))).toBe(0);
  return rewritten === image;
}

test.each<[string, Partial<Stat>]>([
  ["nothing", {}],
  ["seconds", { mtimeSeconds: 101n }],
  ["nanoseconds, which leave it younger", { mtimeSeconds: 0n, mtimeNanoseconds: 1 }],
  ["owner and group that take 32 bits", { uid: 70_000, gid: 80_000 }],
  ["permissions", { permissions: 0o1777 }],
])("rewriteErofs: changes %s in place", (_, change) => {
  expect(isReused(treeWith(change))).toBe(true);
  expect(isReused(treeWith(change), 0)).toBe(true);
});

test("rewriteErofs: changes a directory deep down in place", () => {
  const deep = directory(
    { deep: { ...(usr.entries.get(b("deep")) as Directory), stat: { ...leaf.stat, ...young } } },
    young,
  );
  expect(isReused(treeWith({}, { usr: deep }))).toBe(true);
});

test.each<[string, Directory]>([
  ["a time that becomes the oldest", treeWith({ mtimeSeconds: -1n })],
  ["a time that becomes as old as the oldest", treeWith({ mtimeSeconds: 0n, mtimeNanoseconds: 0 })],
  ["a time that was the oldest", treeWith({}, { old: directory({}, young) })],
  ["the root", { ...before, stat: { ...before.stat, permissions: 0o700 } }],
  ["a name more", treeWith({}, { more: directory({}, young) })],
])("rewriteErofs: writes anew: %s", (_, after) => {
  expect(isReused(after)).toBe(false);
});
