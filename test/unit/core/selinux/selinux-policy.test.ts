import { expect, test } from "vitest";
import { toBytes } from "../../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../../src/core/errors.ts";
import { readPolicy } from "../../../../src/core/selinux/selinux-policy.ts";
import type { FileContent, Inode } from "../../../../src/core/tree/inode.ts";
import { directory, file, objectFile, symlink } from "../../../builders/file-trees.ts";
import { b } from "../../../builders/layers.ts";

const readInline = (content: FileContent) => {
  if (content.kind !== "inline") throw new Error("only inline contents are in these trees");
  return toBytes(content.bytes);
};

const root = (selinux: Record<string, Inode>) => directory({ etc: directory({ selinux: directory(selinux) }) });
const policyOf = (files: Record<string, Inode>, config = "SELINUXTYPE=p\n") =>
  readPolicy(
    root({ config: file(config), p: directory({ contexts: directory({ files: directory(files) }) }) }),
    readInline,
  );

test.each([
  ["no /etc", directory({})],
  ["no /etc/selinux", directory({ etc: directory({}) })],
  ["no config", root({})],
  ["no SELINUXTYPE", root({ config: file("SELINUX=enforcing\n") })],
])("readPolicy: with %s there is no policy", (_, tree) => {
  expect(readPolicy(tree, readInline)).toBeUndefined();
});

test("readPolicy: later files win over earlier ones, later lines over earlier ones", () => {
  const policy = policyOf({
    file_contexts: file("/a main\n/b main\n/c main\n/d early\n/d main\n"),
    "file_contexts.local": file("/b local\n/c local\n"),
    "file_contexts.homedirs": file("/c homedirs\n"),
  });
  const labels = ["/a", "/b", "/c", "/d", "/e"].map((path) => policy?.label(b(path), b("-")));
  expect(labels).toEqual(["main", "local", "homedirs", "main", undefined]);
});

test("readPolicy: <<none>> takes a label away; it is a word like any other elsewhere", () => {
  const policy = policyOf({ file_contexts: file("/.* x\n/a <<none>>\n/b <<None>>\n") });
  expect(["/a", "/b", "/c"].map((path) => policy?.label(b(path), b("-")))).toEqual([undefined, "<<None>>", "x"]);
});

test("readPolicy: aliases come from subs, then from subs_dist", () => {
  const policy = policyOf({
    file_contexts: file(""),
    "file_contexts.subs": file("/a /1\n/b /1\n"),
    "file_contexts.subs_dist": file("/b /2\n"),
  });
  expect(["/a", "/b", "/c"].map((path) => policy?.alias(b(path)))).toEqual(["/1", "/2", undefined]);
});

test("readPolicy: a type without a name looks in /etc/selinux itself, one with slashes further down", () => {
  const contexts = directory({ files: directory({ file_contexts: file("/a x\n") }) });
  const direct = readPolicy(root({ config: file("SELINUXTYPE=\n"), contexts }), readInline);
  const deep = readPolicy(
    root({ config: file("SELINUXTYPE=p/q\n"), p: directory({ q: directory({ contexts }) }) }),
    readInline,
  );
  expect([direct, deep].map((policy) => policy?.label(b("/a"), b("-")))).toEqual(["x", "x"]);
});

const named = { config: file("SELINUXTYPE=p\n") };
const files = (entries: Record<string, Inode>) =>
  root({ ...named, p: directory({ contexts: directory({ files: directory(entries) }) }) });

test.each([
  ["a missing policy", root(named), "/etc/selinux/p has no policy: p is missing"],
  ["a policy without files", root({ ...named, p: directory({}) }), "contexts is missing"],
  ["a policy outside", root({ config: file("SELINUXTYPE=../../usr/p") }), ".. is missing"],
  ["no file_contexts", files({}), "it has no file_contexts"],
  ["a bad line", files({ file_contexts: file("/a -x l") }), "type -x is unknown"],
  ["a bad regex", files({ file_contexts: file("/( l") }), "a group is not closed"],
  ["an unknown regex", files({ file_contexts: file("/\\pL l") }), "\\\\pL"],
  ["bad subs", files({ file_contexts: file(""), "file_contexts.subs": file("/a") }), "it is not two paths"],
  ["a symlink as config", root({ config: symlink("x") }), "config is a symlink, no file"],
  ["a symlink as policy", root({ ...named, p: symlink("x") }), "p is a symlink, no directory"],
  ["a file as /etc", directory({ etc: file("") }), "etc is a regular file, no directory"],
])("readPolicy: refuses %s", (_, tree, message) => {
  expect(() => readPolicy(tree, readInline)).toThrow(
    expect.objectContaining({ code: "not-bootable", message: expect.stringContaining(message) }),
  );
});

test("readPolicy: a file that is too large is not read", () => {
  const tree = files({ file_contexts: objectFile(4n * 1024n * 1024n + 1n, "a".repeat(64)) });
  expect(() => readPolicy(tree, readInline)).toThrow(expect.objectContaining({ code: "limit-exceeded" }));
});

test("readPolicy: an object that cannot be read is no fault of the policy", () => {
  const tree = files({ file_contexts: objectFile(100n, "a".repeat(64)) });
  const cause = new OsdeployError("not-found", "Cannot read object");
  const fail = (content: FileContent) => {
    if (content.kind === "external") throw cause;
    return toBytes(content.bytes);
  };
  expect(() => readPolicy(tree, fail)).toThrow(cause);
  expect(() => readPolicy(tree, readInline)).toThrow("only inline contents");
});
