import { expect, test } from "vitest";
import { comparePackages, installedPackage } from "../../../../src/core/packages/package-list.ts";

const list = (...words: readonly string[]) =>
  words.map((word) => {
    const [name = "", version = "", architecture = "amd64"] = word.split(" ");
    return installedPackage(name, version, architecture);
  });

test("comparePackages: what is replaced, added, removed and unchanged, by name", () => {
  expect(
    comparePackages(list("zsh 1", "apt 3.0", "same 1", "gone 2"), list("apt 3.1", "same 1", "zsh 2", "new 1")),
  ).toEqual({
    replaced: [
      { name: "apt", before: "3.0", after: "3.1", architecture: "amd64" },
      { name: "zsh", before: "1", after: "2", architecture: "amd64" },
    ],
    added: list("new 1"),
    removed: list("gone 2"),
    unchanged: 1,
  });
});

test("comparePackages: one name for two architectures is two packages", () => {
  expect(comparePackages(list("libc6 1 amd64", "libc6 1 i386"), list("libc6 2 amd64"))).toMatchObject({
    replaced: [{ architecture: "amd64" }],
    removed: list("libc6 1 i386"),
  });
});

test("comparePackages: of several versions of one package those that stay are not replaced", () => {
  const before = list("kernel 1", "kernel 2", "kernel 2");
  expect(comparePackages(before, list("kernel 2", "kernel 3"))).toEqual({
    replaced: [{ name: "kernel", before: "1", after: "3", architecture: "amd64" }],
    added: [],
    removed: list("kernel 2"),
    unchanged: 1,
  });
  expect(comparePackages(list("kernel 1"), list("kernel 1", "kernel 3"))).toMatchObject({ added: list("kernel 3") });
});

test("installedPackage: what an image says at length is cut", () => {
  expect(installedPackage("n".repeat(500), "1", "")).toEqual({ name: "n".repeat(200), version: "1", architecture: "" });
});
