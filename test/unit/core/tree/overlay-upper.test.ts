import { describe, expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../../src/core/errors.ts";
import type { Inode } from "../../../../src/core/tree/inode.ts";
import { mergeEtc } from "../../../../src/core/tree/merge-etc.ts";
import { applyUpper, upperSteps } from "../../../../src/core/tree/overlay-upper.ts";
import { describeTree as lines, treeOfSteps as treeOf } from "../../../builders/etc-steps.ts";
import { directory, file, special, symlink, tree } from "../../../builders/file-trees.ts";

type Entries = Readonly<Record<string, Inode>>;

const xattrs = (words: Readonly<Record<string, string>>) =>
  new Map(Object.entries(words).map(([key, value]) => [fromText(key), fromText(value)]));
const gone = special("character-device", 0);

const seen = (lower: Entries, upper: Entries) => lines(applyUpper(tree(lower), tree(upper)));

describe("applyUpper", () => {
  test("what is above hides what is below, and directories of both are merged", () => {
    const lower = { kept: file("1"), edited: file("1"), dir: directory({ a: file("a"), b: file("b") }) };
    const upper = { edited: file("2"), new: file("3"), dir: directory({ b: file("B") }) };
    expect(seen(lower, upper)).toEqual(["dir/", "dir/a=a", "dir/b=B", "edited=2", "kept=1", "new=3"]);
  });

  test("a whiteout removes, in either form of the kernel's", () => {
    const lower = { a: file("1"), dir: directory({ b: file("b"), c: file("c") }) };
    const marked = directory(
      { b: file("", {}, xattrs({ "trusted.overlay.whiteout": "" })) },
      {},
      xattrs({ "trusted.overlay.opaque": "x" }),
    );
    expect(seen(lower, { a: gone, dir: marked })).toEqual(["dir/", "dir/c=c"]);
  });

  test("an opaque directory hides all below, and one that replaces a file needs no mark", () => {
    const lower = { dir: directory({ b: file("b") }), was: file("file") };
    const upper = {
      dir: directory({ c: file("c") }, {}, xattrs({ "trusted.overlay.opaque": "y" })),
      was: directory({ d: file("d") }),
    };
    expect(seen(lower, upper)).toEqual(["dir/", "dir/c=c", "was/", "was/d=d"]);
  });

  test("metadata is that of the upper directory, without the overlay's own attributes", () => {
    const marks = { "trusted.overlay.origin": "x", "trusted.overlay.impure": "y", "user.mine": "1" };
    const upper = tree({ f: file("1", {}, xattrs(marks)), d: directory({}, { uid: 5 }, xattrs(marks)) });
    const { root } = applyUpper(tree({ d: directory({ e: file("e") }) }), upper);
    const [f, d] = ["f", "d"].map((name) => root.entries.get(fromText(name)));
    expect([f?.xattrs, d?.xattrs]).toEqual([xattrs({ "user.mine": "1" }), xattrs({ "user.mine": "1" })]);
    expect(d?.stat.uid).toBe(5);
  });

  test("other devices are no whiteouts", () => {
    expect(seen({}, { null: special("character-device", 0x103) })).toEqual(["null=character-device"]);
  });

  test.each([
    ["metacopy", { conf: file("", {}, xattrs({ "trusted.overlay.metacopy": "" })) }, "conf"],
    ["redirect", { sub: directory({ d: directory({}, {}, xattrs({ "trusted.overlay.redirect": "old" })) }) }, "sub/d"],
  ])("refuses %s, with the path", (what, upper, path) => {
    expect(() => applyUpper(tree({}), tree(upper as Entries))).toThrow(OsdeployError);
    expect(() => applyUpper(tree({}), tree(upper as Entries))).toThrow(
      `Cannot merge /etc/${path}: its upper directory needs the overlay's ${what}, which only the kernel resolves`,
    );
  });
});

describe("upperSteps", () => {
  const steps = (pristine: Entries, host: Entries, image: Entries) =>
    upperSteps(tree(image), mergeEtc({ pristine: tree(pristine), host: tree(host), image: tree(image) }).steps).map(
      ({ from, path, inode }) => `${from} ${path}${inode.kind === "character-device" ? " whiteout" : ""}`,
    );

  test("only what the host changed is there, with the directories that lead to it", () => {
    const before = { kept: file("1"), a: directory({ b: directory({ c: file("1"), other: file("1") }) }) };
    const host = {
      ...before,
      a: directory({ b: directory({ c: file("mine"), other: file("1") }) }),
      link: symlink("x"),
    };
    expect(steps(before, host, { ...before, kept: file("2") })).toEqual([
      "image ",
      "image a",
      "host link",
      "image a/b",
      "host a/b/c",
    ]);
  });

  test("what the host removed is a whiteout where the image brings it, at the top too", () => {
    const before = { a: file("1"), dir: directory({ b: file("1") }), tree: directory({ c: file("1") }) };
    expect(steps(before, { dir: directory({}) }, before)).toEqual([
      "image ",
      "image a whiteout",
      "image dir",
      "image tree whiteout",
      "image dir/b whiteout",
    ]);
  });

  test("what neither has needs no whiteout, and an untouched /etc nothing at all", () => {
    const before = { a: file("1") };
    expect(steps(before, {}, {})).toEqual(["image "]);
    expect(steps(before, before, { a: file("2"), b: directory({ c: file("3") }) })).toEqual(["image "]);
  });

  test("a directory of the host's where the image has a file stays one", () => {
    const host = { a: directory({ mine: file("1") }) };
    expect(steps({ a: directory({}) }, host, { a: file("now a file") })).toEqual(["image ", "host a", "host a/mine"]);
  });

  test("what one sees through the upper directory is the merge", () => {
    const pristine = { a: file("1"), b: file("1"), dir: directory({ c: file("1"), d: file("1") }) };
    const host = { a: file("mine"), dir: directory({ d: file("1"), e: file("mine") }), f: file("mine") };
    const image = tree({ a: file("2"), b: file("2"), dir: directory({ c: file("2"), d: file("2") }), new: file("2") });
    const merge = mergeEtc({ pristine: tree(pristine), host: tree(host), image });
    const upper = treeOf(upperSteps(image, merge.steps));
    expect(lines(applyUpper(image, upper))).toEqual(lines(treeOf(merge.steps)));
  });
});
