import { expect, test } from "vitest";
import { toBytes } from "../../../../src/core/bytes/byte-string.ts";
import { finishHardLinks } from "../../../../src/core/tree/hard-links.ts";
import type { FileContent, FileTree, Inode, Xattrs } from "../../../../src/core/tree/inode.ts";
import { toBootTree, toRawTree } from "../../../../src/core/tree/root-tree.ts";
import { findInode } from "../../../../src/core/tree/tree-path.ts";
import { directory, file, symlink, tree } from "../../../builders/file-trees.ts";
import { b } from "../../../builders/layers.ts";
import { showNames, showTree } from "../../../builders/tree-text.ts";

const xattrs = (entries: Record<string, string>): Xattrs =>
  new Map(Object.entries(entries).map(([key, value]) => [b(key), b(value)]));
const capability = { "security.capability": "cap" };
const usr = (entries: Record<string, Inode> = {}) =>
  directory(
    entries,
    { permissions: 0o751, uid: 1, gid: 2, mtimeSeconds: 100n, mtimeNanoseconds: 5 },
    xattrs({ ...capability, "user.a": "x" }),
  );

const readInline = (content: FileContent) => {
  if (content.kind !== "inline") throw new Error("only inline contents are in these trees");
  return toBytes(content.bytes);
};

test("toRawTree: the root gets the metadata of /usr", () => {
  const { root } = toRawTree(tree({ usr: usr() }));
  expect(showTree({ root })).toBe(
    [
      '"/" directory 751 1:2 100.000000005 links   security.capability="cap"',
      '"/usr" directory 751 1:2 100.000000005 links   security.capability="cap"',
      "",
    ].join("\n"),
  );
});

test("toRawTree: /run is emptied and gets the whole time of /usr, but keeps mode and owner", () => {
  const run = directory(
    { x: file("x"), d: directory({ y: file("y") }) },
    { permissions: 0o700, uid: 9, mtimeNanoseconds: 7 },
    xattrs(capability),
  );
  const raw = toRawTree(tree({ usr: usr(), run }));
  expect(showNames(raw)).toEqual(["/", "/run", "/usr"]);
  expect(showTree(raw)).toContain('"/run" directory 700 9:0 100.000000005 links   security.capability="cap"');
});

test("toRawTree: of extended attributes only security.capability stays, everywhere", () => {
  const raw = toRawTree(
    tree({
      usr: usr({
        both: file("1", {}, xattrs({ ...capability, "security.selinux": "l" })),
        none: file("2", {}, xattrs({ "trusted.overlay.opaque": "y" })),
        only: directory({ deep: file("3", {}, xattrs(capability)) }, {}, xattrs({ "user.b": "" })),
      }),
    }),
  );
  const shown = showTree(raw);
  expect(shown).toContain('"/usr/both" regular 644 0:0 0.000000000 nlink 1 "1" security.capability="cap"\n');
  expect(shown).toContain('"/usr/none" regular 644 0:0 0.000000000 nlink 1 "2"\n');
  expect(shown).toContain('"/usr/only/deep" regular 644 0:0 0.000000000 nlink 1 "3" security.capability="cap"\n');
  expect(shown).not.toMatch(/user\.|trusted|selinux/);
});

test("toRawTree: hard links stay, and what /run held no longer counts", () => {
  const shared = { ...file("s", {}, xattrs({ "user.a": "x" })), nlink: 3 };
  const raw = toRawTree(tree({ a: directory({}), run: directory({ s: shared }), usr: usr({ s: shared, t: shared }) }));
  expect(showNames(raw, { content: true })).toEqual([
    "/",
    "/a",
    "/run",
    "/usr",
    '/usr/s "s" nlink 2',
    "/usr/t -> /usr/s",
  ]);
});

test("toRawTree, toBootTree: what stays as it was is not made anew", () => {
  const merged = bootable({ usr: usr({ d: directory({ g: file("g") }), f: file("f") }) });
  const raw = toRawTree(merged);
  const boot = toBootTree(raw, readInline);
  const [before, looked, booted] = [merged, raw, boot].map((tree) => findInode(tree, b("usr/d")));
  expect(looked).toBe(before);
  expect(booted).toBe(before);
});

test("toRawTree: is done when done once, and leaves its input as it is", () => {
  const merged = tree({ usr: usr({ f: file("f", {}, xattrs({ "user.a": "x" })) }), run: directory({ x: file("x") }) });
  const before = showTree(merged);
  const raw = toRawTree(merged);
  expect(showTree(merged)).toBe(before);
  expect(showTree(toRawTree(raw))).toBe(showTree(raw));
});

test.each<[string, FileTree, string, RegExp]>([
  ["no /usr", tree({}), "it has no /usr", /gets the metadata of \/usr/],
  ["a symlink /usr", tree({ usr: symlink("x") }), "its /usr is a symlink", /gets the metadata of \/usr/],
  ["a file /run", tree({ usr: usr(), run: file("") }), "its /run is a regular file", /^Make it an empty directory/],
])("toRawTree: refuses %s, names the image and says what to do", (_, bad, state, hint) => {
  const error = { code: "not-bootable", facts: { path: expect.any(String), hint: expect.stringMatching(hint) } };
  for (const name of [undefined, "oci:os:v1"]) {
    const message = `Cannot make a root image of ${name ?? "this image"}: ${state}`;
    expect(() => toRawTree(bad, name)).toThrow(expect.objectContaining({ ...error, message }));
  }
});

const bootable = (entries: Record<string, Inode> = {}) =>
  tree({
    usr: usr(),
    boot: directory({ vmlinuz: file("k") }, { mtimeSeconds: 1n, mtimeNanoseconds: 11 }),
    sysroot: directory({ x: file("") }, { mtimeNanoseconds: 22 }),
    ...entries,
  });

test("toBootTree: /boot and /sysroot are emptied and get the seconds of /usr, not its nanoseconds", () => {
  const boot = toBootTree(bootable(), readInline);
  expect(showNames(boot)).toEqual(["/", "/boot", "/sysroot", "/usr"]);
  expect(showTree(boot)).toContain('"/boot" directory 755 0:0 100.000000011');
  expect(showTree(boot)).toContain('"/sysroot" directory 755 0:0 100.000000022');
});

const mkdir = /^Add "RUN mkdir -p \/boot \/sysroot"/;
test.each<[string, FileTree, string, RegExp]>([
  ["no /boot", tree({ usr: usr(), sysroot: directory({}) }), "it has no /boot", mkdir],
  ["no /sysroot", tree({ usr: usr(), boot: directory({}) }), "it has no /sysroot", mkdir],
  ["a symlink /boot", bootable({ boot: symlink("x") }), "its /boot is a symlink", mkdir],
  ["no /usr", tree({ boot: directory({}), sysroot: directory({}) }), "it has no /usr", /metadata of \/usr/],
])("toBootTree: refuses %s, names the image and says what to do", (_, bad, state, hint) => {
  const error = { code: "not-bootable", facts: { path: expect.any(String), hint: expect.stringMatching(hint) } };
  for (const name of [undefined, "oci:os:v1"]) {
    const message = `Cannot boot ${name ?? "this image"}: ${state}`;
    expect(() => toBootTree(bad, readInline, name)).toThrow(expect.objectContaining({ ...error, message }));
  }
});

const policy = (contexts: string) =>
  directory({
    selinux: directory({
      config: file("SELINUXTYPE=targeted\n"),
      targeted: directory({ contexts: directory({ files: directory({ file_contexts: file(contexts) }) }) }),
    }),
  });

test("toBootTree: labels come from the image's own policy; without one, old labels go", () => {
  const old = file("x", {}, xattrs({ "security.selinux": "old", ...capability }));
  const labelled = toBootTree(bootable({ etc: policy("/usr/.* -- new\n"), usr: usr({ x: old }) }), readInline);
  expect(showTree(labelled)).toContain(
    '"/usr/x" regular 644 0:0 0.000000000 nlink 1 "x" security.capability="cap" security.selinux="new"',
  );
  const without = toBootTree(bootable({ usr: usr({ x: old }) }), readInline);
  expect(showTree(without)).toContain('"x" security.capability="cap"\n');
});

test("toBootTree: names of one file that get different labels become files of their own", () => {
  const shared = { ...file("s"), nlink: 4 };
  const contexts = "/usr/a.* A\n/usr/b.* B\n";
  const merged = finishHardLinks(
    bootable({ etc: policy(contexts), usr: usr({ a1: shared, b1: shared, a2: shared, b2: shared }) }).root,
  );
  const before = showTree(merged);
  const names = showNames(toBootTree(merged, readInline), { content: true }).filter((line) => line.startsWith("/usr/"));
  expect(names).toEqual(['/usr/a1 "s" nlink 2', "/usr/a2 -> /usr/a1", '/usr/b1 "s" nlink 1', '/usr/b2 "s" nlink 1']);
  expect(showTree(merged)).toBe(before);
});
