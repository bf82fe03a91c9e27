import { expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import type { FileTree, Inode } from "../../../../src/core/tree/inode.ts";
import { mergeEtc } from "../../../../src/core/tree/merge-etc.ts";
import { directory, file, objectFile, special, symlink, tree } from "../../../builders/file-trees.ts";

type Entries = Readonly<Record<string, Inode>>;

/** The merge as lines `from path`, and its conflicts as `reason path`. */
function merged(
  pristine: Entries,
  host: Entries,
  image: Entries,
): { readonly lines: string[]; readonly conflicts: string[] } {
  return asText({ pristine: tree(pristine), host: tree(host), image: tree(image) });
}

function asText(trees: { pristine: FileTree; host: FileTree; image: FileTree }) {
  const { steps, conflicts } = mergeEtc(trees);
  return {
    lines: steps.slice(1).map(({ from, path }) => `${from} ${path}`),
    conflicts: conflicts.map(({ reason, path }) => `${reason} ${path}`),
  };
}

test("mergeEtc: a file that the host left alone follows the image, changed, added or removed", () => {
  const before = { kept: file("1"), changed: file("1"), dropped: file("1") };
  expect(merged(before, before, { kept: file("1"), changed: file("2"), added: file("3") })).toEqual({
    lines: ["image added", "image changed", "image kept"],
    conflicts: [],
  });
});

test("mergeEtc: what the host changed, added or removed stays so", () => {
  const before = { edited: file("1"), removed: file("1") };
  expect(merged(before, { edited: file("mine"), added: file("new") }, before)).toEqual({
    lines: ["host added", "host edited"],
    conflicts: [],
  });
});

test("mergeEtc: times alone are no change; owner, permissions and xattrs are", () => {
  const image = { f: file("2") };
  expect(merged({ f: file("1") }, { f: file("1", { mtimeSeconds: 9n }) }, image).lines).toEqual(["image f"]);
  for (const changed of [
    file("1", { uid: 5 }),
    file("1", { gid: 5 }),
    file("1", { permissions: 0o600 }),
    file("1", {}, new Map([[fromText("user.a"), fromText("b")]])),
  ]) {
    expect(merged({ f: file("1") }, { f: changed }, { f: file("1") }).lines).toEqual(["host f"]);
  }
});

test("mergeEtc: content, targets, objects and device numbers are compared", () => {
  const pristine = {
    a: objectFile(70n, "a".repeat(64)),
    l: symlink("x"),
    d: special("character-device", 1),
    p: special("fifo"),
  };
  expect(merged(pristine, pristine, {}).lines).toEqual([]);
  const host = { a: objectFile(70n, "b".repeat(64)), l: symlink("y"), d: special("character-device", 2), p: file("") };
  expect(merged(pristine, host, pristine).lines).toEqual(["host a", "host d", "host l", "host p"]);
});

test("mergeEtc: the host wins a conflict, and it is reported", () => {
  expect(merged({ f: file("1") }, { f: file("mine") }, { f: file("theirs") })).toEqual({
    lines: ["host f"],
    conflicts: ["both-changed f"],
  });
  expect(merged({ f: file("1") }, {}, { f: file("theirs") })).toEqual({
    lines: [],
    conflicts: ["host-removed-image-changed f"],
  });
  expect(merged({ f: file("1") }, { f: file("mine") }, {})).toEqual({
    lines: ["host f"],
    conflicts: ["both-changed f"],
  });
  expect(merged({ f: file("1") }, { f: symlink("mine") }, { f: directory({ x: file("") }) })).toEqual({
    lines: ["host f"],
    conflicts: ["type-changed f"],
  });
});

test("mergeEtc: both making the same change is no conflict", () => {
  expect(merged({ f: file("1") }, { f: file("2") }, { f: file("2") })).toEqual({ lines: ["host f"], conflicts: [] });
});

test("mergeEtc: a directory that the image dropped stays only while the host has files of its own in it", () => {
  const before = { d: directory({ shipped: file("1") }) };
  expect(merged(before, before, {}).lines).toEqual([]);
  const used = { d: directory({ shipped: file("1"), mine: file("m") }) };
  expect(merged(before, used, {}).lines).toEqual(["host d", "host d/mine"]);
});

test("mergeEtc: a directory that became a file in the image stays a directory while the host has files in it", () => {
  const before = { d: directory({ shipped: file("1") }) };
  expect(merged(before, before, { d: file("now a file") }).lines).toEqual(["image d"]);
  const used = { d: directory({ shipped: file("1"), mine: file("m") }) };
  expect(merged(before, used, { d: file("now a file") })).toEqual({
    lines: ["host d", "host d/mine"],
    conflicts: ["type-changed d"],
  });
});

test("mergeEtc: a directory whose metadata the host changed still takes the image's new files", () => {
  const before = { d: directory({ a: file("1") }) };
  const host = { d: directory({ a: file("1"), b: file("mine") }, { permissions: 0o700 }) };
  expect(merged(before, host, { d: directory({ a: file("2"), c: file("new") }) }).lines).toEqual([
    "host d",
    "image d/a",
    "host d/b",
    "image d/c",
  ]);
});

test("mergeEtc: the first step is /etc itself", () => {
  const { steps } = mergeEtc({ pristine: tree({}), host: tree({}), image: { root: directory({}, { uid: 3 }) } });
  expect(steps).toMatchObject([{ path: "", from: "image", inode: { stat: { uid: 3 } } }]);
});
