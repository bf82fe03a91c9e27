import { expect, test } from "vitest";
import {
  composefsArgument,
  rootImageOfArgument,
  rootImageOfCmdline,
  splitCmdline,
  withRootImage,
} from "../../../../src/core/boot/kernel-cmdline.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";

const one = parseObjectId("1".repeat(128), "sha512");
const two = parseObjectId("2".repeat(64), "sha256");

test("splitCmdline: keeps white space inside double quotes together", () => {
  expect(splitCmdline('  rw  dyndbg="file a.c +p; b" x=y ')).toEqual(["rw", 'dyndbg="file a.c +p; b"', "x=y"]);
  expect(splitCmdline('open="never closed here')).toEqual(['open="never closed here']);
  expect(splitCmdline("")).toEqual([]);
});

test("composefsArgument: marks optional verity with a question mark", () => {
  expect(composefsArgument(one, "required")).toBe(`composefs=${one}`);
  expect(composefsArgument(one, "optional")).toBe(`composefs=?${one}`);
});

test("rootImageOfArgument: takes digests of both lengths, with and without question mark, and nothing else", () => {
  expect(rootImageOfArgument(`composefs=?${one}`)).toBe(one);
  expect(rootImageOfArgument(`composefs=${two}`)).toBe(two);
  expect(rootImageOfArgument("composefs=abc")).toBeUndefined();
  expect(rootImageOfArgument(`xcomposefs=${two}`)).toBeUndefined();
});

test("rootImageOfCmdline: the last composefs argument counts", () => {
  expect(rootImageOfCmdline(`rw composefs=${one} quiet composefs=${two}`)).toBe(two);
  expect(rootImageOfCmdline("rw quiet")).toBeUndefined();
});

test("withRootImage: replaces every form of the argument and keeps the rest in order", () => {
  const old = `root=UUID=1 composefs=${one} rw composefs.digest=v1-sha512-12:${one} quiet`;
  expect(withRootImage(old, composefsArgument(two, "required"))).toBe(`root=UUID=1 rw quiet composefs=${two}`);
});
