import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { findPackageDatabases, parsePackages } from "../../../../src/core/packages/package-databases.ts";
import type { Inode } from "../../../../src/core/tree/inode.ts";
import { directory, file, objectFile, symlink, tree } from "../../../builders/file-trees.ts";

/** A tree with these files, by their paths. */
function treeOf(files: Readonly<Record<string, Inode>>): ReturnType<typeof tree> {
  const below = (names: readonly (readonly [string, Inode])[]): Record<string, Inode> => {
    const made: Record<string, Inode> = {};
    for (const first of new Set(names.map(([name]) => name.split("/")[0] ?? ""))) {
      const own = names.find(([name]) => name === first);
      const rest = names.flatMap(([name, inode]): [string, Inode][] =>
        name.startsWith(`${first}/`) ? [[name.slice(first.length + 1), inode]] : [],
      );
      made[first] = own?.[1] ?? directory(below(rest));
    }
    return made;
  };
  return tree(below(Object.entries(files)));
}

const found = (files: Readonly<Record<string, Inode>>) => {
  const { databases, unreadable } = findPackageDatabases(treeOf(files));
  return { databases: databases.map(({ manager, path }) => `${manager} ${path}`), unreadable };
};

describe("findPackageDatabases", () => {
  test("each package manager's own, and the first place that there is", () => {
    expect(found({ "var/lib/dpkg/status": file("") }).databases).toEqual(["dpkg var/lib/dpkg/status"]);
    const moved = { "usr/lib/sysimage/dpkg/status": file(""), "var/lib/dpkg/status": file("") };
    expect(found(moved).databases).toEqual(["dpkg usr/lib/sysimage/dpkg/status"]);
    const both = { "lib/apk/db/installed": file(""), "var/lib/rpm/rpmdb.sqlite": file("x") };
    expect(found(both)).toEqual({
      databases: ["rpm var/lib/rpm/rpmdb.sqlite", "apk lib/apk/db/installed"],
      unreadable: [],
    });
    expect(found({ usr: directory({}) })).toEqual({ databases: [], unreadable: [] });
  });

  test("links are followed", () => {
    const files = { "var/lib/dpkg": symlink("/usr/share/packages"), "usr/share/packages/status": file("") };
    expect(found(files).databases).toEqual(["dpkg var/lib/dpkg/status"]);
  });

  test("images without a package manager have a file for each package", () => {
    const files = {
      "var/lib/dpkg/status.d/base": file("x"),
      "var/lib/dpkg/status.d/base.md5sums": file("x"),
      "var/lib/dpkg/status.d/more": directory({}),
    };
    expect(found(files).databases).toEqual(["dpkg var/lib/dpkg/status.d/base"]);
  });

  test("of more than some hundred such files none is read, and that is told", () => {
    const files = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`var/lib/dpkg/status.d/p${i}`, file("x")]));
    expect(found(files(300)).databases).toHaveLength(300);
    const apk = { "lib/apk/db/installed": file("") };
    expect(found({ ...files(301), ...apk })).toEqual({
      databases: ["apk lib/apk/db/installed"],
      unreadable: ["var/lib/dpkg/status.d"],
    });
  });

  test("a log that was not written to rpm's database, or one of another form, is told and not read", () => {
    const database = { "usr/share/rpm/rpmdb.sqlite": objectFile(10n, "0".repeat(128)) };
    expect(found({ ...database, "usr/share/rpm/rpmdb.sqlite-wal": file("") }).unreadable).toEqual([]);
    for (const wal of [file("x"), objectFile(10n, "0".repeat(128))]) {
      expect(found({ ...database, "usr/share/rpm/rpmdb.sqlite-wal": wal })).toEqual({
        databases: [],
        unreadable: ["usr/share/rpm/rpmdb.sqlite"],
      });
    }
    expect(found({ "var/lib/rpm/Packages": file("x") }).unreadable).toEqual(["var/lib/rpm/Packages"]);
    expect(found({ ...database, "var/lib/rpm/Packages": file("x") }).unreadable).toEqual([]);
  });
});

test("parsePackages: by the package manager's own form", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  expect(parsePackages("dpkg", bytes("Package: a\nVersion: 1\n"))).toMatchObject([{ name: "a" }]);
  expect(parsePackages("apk", bytes("P:b\nV:1\n"))).toMatchObject([{ name: "b" }]);
  const rpm = readFileSync(new URL("../../../vectors/packages/headers.sqlite", import.meta.url));
  expect(parsePackages("rpm", rpm)).toMatchObject([{ name: "bash" }, { name: "shadow" }]);
});
