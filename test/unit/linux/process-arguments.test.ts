import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { exactArguments } from "../../../src/linux/process-arguments.ts";

const directory = mkdtempSync(join(tmpdir(), "process-arguments-"));
afterAll(() => rmSync(directory, { recursive: true }));

function commandLine(...words: readonly string[]): string {
  const path = mkdtempSync(join(directory, "cmdline-"));
  const file = join(path, "cmdline");
  writeFileSync(file, Buffer.from(words.map((word) => `${word}\0`).join(""), "latin1"));
  return file;
}

test("exactArguments: has the bytes that are no UTF-8, and empty words", () => {
  const path = commandLine("node", "--no-warnings", "main.js", "ls", "", "/a\xff", "/\xc3\xa4");
  expect(exactArguments(["ls", "", "/a\ufffd", "/ä"], path)).toEqual(["ls", "", "/a\udcff", "/ä"]);
});

test("exactArguments: looks nowhere when all words are UTF-8", () => {
  expect(exactArguments(["ls", "/ä"], join(directory, "none"))).toEqual(["ls", "/ä"]);
});

test.each<[string, string]>([
  ["is not there", join(directory, "none")],
  ["has fewer words", commandLine("\xff")],
])("exactArguments: is what Node has where the kernel's list %s", (_, path) => {
  expect(exactArguments(["ls", "/a\ufffd"], path)).toEqual(["ls", "/a\ufffd"]);
});
