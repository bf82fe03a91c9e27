import { expect, test } from "vitest";
import { labelTree } from "../../../../src/core/selinux/label-tree.ts";
import type { SelinuxPolicy } from "../../../../src/core/selinux/selinux-policy.ts";
import type { Inode } from "../../../../src/core/tree/inode.ts";
import { directory, file, special, symlink } from "../../../builders/file-trees.ts";
import { b } from "../../../builders/layers.ts";

/** Labels everything with what it was asked for. */
const echo = (aliases: Record<string, string> = {}): SelinuxPolicy => ({
  label: (path, type) => b(`${path} ${type}`),
  alias: (path) => (aliases[path] === undefined ? undefined : b(aliases[path])),
});

function labels(inode: Inode, path = ""): Record<string, string | undefined> {
  const own = { [path === "" ? "/" : path]: inode.xattrs.get(b("security.selinux")) as string | undefined };
  if (inode.kind !== "directory") return own;
  return Object.assign(own, ...[...inode.entries].map(([name, child]) => labels(child, `${path}/${name}`)));
}

test("labelTree: asks with the absolute path and the type's letter", () => {
  const root = directory({
    d: directory({ f: file("") }),
    l: symlink("x"),
    c: special("character-device", 1),
    b: special("block-device", 1),
    p: special("fifo"),
    s: special("socket"),
  });
  expect(labels(labelTree(root, echo()))).toEqual({
    "/": "/ d",
    "/b": "/b b",
    "/c": "/c c",
    "/d": "/d d",
    "/d/f": "/d/f -",
    "/l": "/l l",
    "/p": "/p p",
    "/s": "/s s",
  });
});

test("labelTree: an alias stands for its path, and what is below follows, aliases again", () => {
  const root = directory({ lib64: directory({ x: directory({ y: file("") }), z: file("") }), f: file("") });
  const found = labels(
    labelTree(root, echo({ "/lib64": "/usr/lib/", "/usr/lib/x": "/opt", "/f": "/g", "/": "/never" })),
  );
  expect(found).toEqual({
    "/": "/ d",
    "/f": "/g -",
    "/lib64": "/usr/lib/ d",
    "/lib64/x": "/opt d",
    "/lib64/x/y": "/opt/y -",
    "/lib64/z": "/usr/lib/z -",
  });
});

test("labelTree: without a policy, labels go and other attributes stay", () => {
  const xattrs = new Map([
    [b("security.selinux"), b("old")],
    [b("user.a"), b("x")],
  ]);
  const root = labelTree(directory({ f: file("", {}, xattrs), g: file("") }, {}, xattrs), undefined);
  expect([root, ...root.entries.values()].map((inode) => [...inode.xattrs.keys()])).toEqual([
    ["user.a"],
    ["user.a"],
    [],
  ]);
});

test("labelTree: without a policy, a labelled leaf stays shared between its names, and what has no label is as it was", () => {
  const shared = { ...file("s", {}, new Map([[b("security.selinux"), b("old")]])), nlink: 2 };
  const plain = directory({ f: file("") });
  const root = labelTree(directory({ a: shared, b: shared, plain }), undefined);
  expect(root.entries.get(b("a"))).toEqual({ ...shared, xattrs: new Map() });
  expect(root.entries.get(b("b"))).toBe(root.entries.get(b("a")));
  expect(root.entries.get(b("plain"))).toBe(plain);
});

test("labelTree: no label where the policy has none, in place of an old one", () => {
  const none: SelinuxPolicy = { label: () => undefined, alias: () => undefined };
  const root = labelTree(directory({ f: file("", {}, new Map([[b("security.selinux"), b("old")]])) }), none);
  expect(labels(root)).toEqual({ "/": undefined, "/f": undefined });
});

test("labelTree: a leaf stays shared between names with the same label, none is a label too", () => {
  const shared = { ...file("s"), nlink: 4 };
  const some: SelinuxPolicy = { label: (path) => (path.includes("x") ? b("X") : undefined), alias: () => undefined };
  const { entries } = labelTree(directory({ a: shared, b: shared, x1: shared, x2: shared }), some);
  const at = (name: string) => entries.get(b(name));
  expect(at("a")).toBe(at("b"));
  expect(at("x1")).not.toBe(at("a"));
  expect(at("x2")).not.toBe(at("x1"));
  expect(labels(directory({ x: at("x2") ?? shared }))["/x"]).toBe("X");
});
