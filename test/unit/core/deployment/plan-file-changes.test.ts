import { expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { namedPathLimit, planFileChanges } from "../../../../src/core/deployment/plan-file-changes.ts";
import { diffTrees, type TreeDifference } from "../../../../src/core/tree/diff-trees.ts";
import { directory, file, symlink, tree } from "../../../builders/file-trees.ts";

const never = () => false;

test("planFileChanges: counts and names what is added, removed and changed", () => {
  const before = tree({ same: file("s"), gone: file("g"), old: file("1"), link: symlink("a"), time: file("t") });
  const after = tree({
    ...{ same: file("s"), old: file("2"), link: file("a"), new: file("n") },
    time: file("t", { mtimeSeconds: 9n }),
  });
  expect(planFileChanges(diffTrees(before, after), never)).toEqual({
    ...{ added: 1, removed: 1, changed: 2, touched: 1, isCut: false },
    paths: [
      { path: "/gone", change: "removed" },
      { path: "/link", change: "changed" },
      { path: "/new", change: "added" },
      { path: "/old", change: "changed" },
    ],
  });
});

test("planFileChanges: what is the same by another name does not count, unless something else differs", () => {
  const before = tree({ a: file("1"), b: file("1"), c: file("1") });
  const after = tree({ a: file("2"), b: file("2", { mtimeSeconds: 9n }), c: file("2", { permissions: 0o600 }) });
  expect(planFileChanges(diffTrees(before, after), () => true)).toMatchObject({
    ...{ changed: 1, touched: 1, paths: [{ path: "/c", change: "changed" }] },
  });
});

test("planFileChanges: passes over what other file systems are mounted over", () => {
  const files = { x: file("x") };
  const before = tree({ boot: directory({}), sysroot: directory({}), bootx: directory({}) });
  const after = tree({ boot: directory(files), sysroot: directory(files), bootx: directory(files) });
  expect(planFileChanges(diffTrees(before, after), never).paths).toEqual([{ path: "/bootx/x", change: "added" }]);
});

test("planFileChanges: names only so many", () => {
  const differences = Array.from(
    { length: namedPathLimit + 1 },
    (_, i): TreeDifference => ({ path: fromText(`/${i}`), before: undefined, after: file("x"), changes: [] }),
  );
  const found = planFileChanges(differences, never);
  expect(found).toMatchObject({ added: namedPathLimit + 1, isCut: true });
  expect(found.paths).toHaveLength(namedPathLimit);
  const others = differences.map((each, i) =>
    i % 2 === 0
      ? { ...each, before: each.after, after: undefined }
      : { ...each, before: file("y"), changes: ["content"] as const },
  );
  expect(planFileChanges(others, never)).toMatchObject({ added: 0, isCut: true });
  expect(planFileChanges(others.slice(1), never)).toMatchObject({ isCut: false });
});
